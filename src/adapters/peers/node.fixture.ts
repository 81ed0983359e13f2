/** A node in a process of its own, for tests that stop and kill it: listens, dials who it is told to, and tells its parent what it hears. */

import { limits, secret } from "./peers.harness.ts";
import { peersTransport } from "./transport.ts";

const say = (told: object): void => void process.send?.(told);

const transport = await peersTransport({ limits, secrets: [secret] })({
  self: { node: "child", generation: 1 },
  info: {},
  opened: (connection) => ({
    message: (_connection, { body }) => connection.send({ body: ["echo", body] }),
    drained: () => {},
    closed: (_connection, reason) => say({ closed: reason }),
  }),
});
say({ address: transport.address });
process.on("disconnect", () => void transport.close());
