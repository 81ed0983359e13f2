/** The ceiling: a bare `ws` server that sends the bytes it is given to everybody who is connected. No state, no disk. */
import { type WebSocket, WebSocketServer } from "ws";
import { countSends } from "../sends.ts";

const began = countSends();
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
const everybody = new Set<WebSocket>();
server.on("connection", (socket) => {
  everybody.add(socket);
  socket.on("close", () => everybody.delete(socket));
  socket.on("message", (data) => {
    began();
    for (const each of everybody) if (each !== socket) each.send(data, { binary: true });
  });
});
server.on("listening", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.({ port: address.port });
});
