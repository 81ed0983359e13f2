/** What the OpenAPI document says of the routes that tell how the node is, and of itself. */

type Json = Record<string, unknown>;

const health: Json = { $ref: "#/components/schemas/Health" };

export function healthPaths(): Json {
  const ok = { description: "Yes", content: { "application/json": { schema: health } } };
  const no = { description: "Not now; the body says why", content: { "application/json": { schema: health } } };
  return {
    "/livez": { get: { operationId: "livez", tags: ["health"], security: [], responses: { "200": ok } } },
    "/readyz": { get: { operationId: "readyz", tags: ["health"], security: [], responses: { "200": ok, "503": no } } },
    "/openapi.json": {
      get: {
        operationId: "openapi",
        tags: ["health"],
        security: [],
        responses: {
          "200": { description: "This document", content: { "application/json": { schema: { type: "object" } } } },
        },
      },
    },
  };
}
