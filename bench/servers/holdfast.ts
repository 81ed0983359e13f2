/** What is measured: an embedded Holdfast service behind its real gateway, default durability and limits. */
import { join } from "node:path";
import { embedded } from "holdfast";
import { wallet } from "../wallet.ts";

const service = await embedded({
  entities: [wallet],
  directory: join(process.argv[2] ?? ".", "holdfast"),
  port: 0,
  authenticate: async () => ({ principal: { kind: "service", id: "bench" } }),
  limits: { createsPerMinuteMax: 1_000_000 },
});
process.send?.({ port: service.gateway.port });
process.once("SIGTERM", () => void service.stop().then(() => process.exit(0)));
