/** One HTTP request that is sent exactly as written: no normalised path, no added header that matters. */
import { type IncomingHttpHeaders, request } from "node:http";

export interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string | readonly string[]>;
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The problem's code; undefined if it is none. */
  readonly code: string | undefined;
}

export function send(port: number, { method = "GET", path, headers = {}, body }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const sent = request(
      { host: "127.0.0.1", port, method, path, headers: { ...length, ...headers }, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            code: codeOf(response.headers, text),
          }),
        );
        response.on("error", reject);
      },
    );
    // The gateway may answer and close before a large body has gone out; the answer counts.
    sent.on("error", (error) => setImmediate(() => reject(error)));
    if (body === undefined) sent.end();
    else sent.end(body);
  });
}

function codeOf(headers: IncomingHttpHeaders, text: string): string | undefined {
  if (headers["content-type"] !== "application/problem+json" || text === "") return undefined;
  return (JSON.parse(text) as { code: string }).code;
}
