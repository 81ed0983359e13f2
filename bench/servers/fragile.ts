/** The server of `quarantine.ts`: wallets and fragile entities behind the real door, over the segment log. */
import { embedded } from "holdfast";
import { fragile } from "../fragile.ts";
import { wallet } from "../wallet.ts";

const service = await embedded({
  entities: [wallet, fragile],
  directory: process.argv[2] ?? ".",
  port: 0,
  authenticate: async (token) => ({
    principal: { kind: token === "olga" ? "operator" : "service", id: token ?? "load" },
  }),
  // A budget that the benchmark's slow decide exceeds without stopping the world; three tries instead of ten (a minute).
  limits: { createsPerMinuteMax: 1_000_000, decideBudgetMs: 2, triesMax: 3 },
  progress: false,
});
process.send?.({ port: service.gateway.port });
process.on("message", (message) => {
  if (message === "health") process.send?.(service.node.health());
  if (message === "stop") void service.stop().then(() => process.exit(0));
});
