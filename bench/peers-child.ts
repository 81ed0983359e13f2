/** The other node of `peers.ts`: answers calls over the transport between nodes, and echoes over a bare WebSocket. */
import { WebSocketServer } from "ws";
import { peersTransport } from "../src/adapters/peers/transport.ts";
import { limitsDefault } from "../src/model/limits.ts";
import { peerBody, readPeer } from "../src/wire/peer-codec.ts";

const echo = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
echo.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
await new Promise<void>((resolve) => echo.once("listening", resolve));

const value = { balance: 1_000, held: 20, currency: "chips" };
const transport = await peersTransport({ secrets: [process.argv[2] ?? ""] })({
  self: { node: "child", generation: 1 },
  info: {},
  opened: () => ({
    message: (connection, message) => {
      const said = readPeer(message);
      if (said.t !== "call") return;
      const answer = { t: "answer", id: said.id, result: { ok: true, value, version: 7 } } as const;
      connection.send({ body: peerBody(answer, limitsDefault) });
    },
    drained: () => {},
    closed: () => {},
  }),
});
process.send?.({ peers: transport.address, echo: (echo.address() as { readonly port: number }).port });
