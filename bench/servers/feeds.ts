/** A service over a log that was written before, whose feeds are pulled. Sends its port and, when asked, its CPU time. */
import { embedded } from "holdfast";
import { wallet } from "../wallet.ts";

const service = await embedded({
  entities: [wallet],
  directory: process.argv[2] ?? ".",
  port: 0,
  authenticate: async () => ({ principal: { kind: "operator", id: "bench" } }),
  progress: false,
});
const before = process.cpuUsage();
process.on("message", () => {
  const { user, system } = process.cpuUsage(before);
  process.send?.({ cpuMicros: user + system });
});
process.send?.({ port: service.gateway.port });
