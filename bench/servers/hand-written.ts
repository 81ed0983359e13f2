/**
 * Ceiling 2: what somebody writes who needs just this: `ws`, JSON, a map of balances, one file that is appended to and
 * `fdatasync`ed, one commit in flight. No dedup, no schema, no access, no recovery.
 */
import { fdatasync, openSync, write } from "node:fs";
import { join } from "node:path";
import { type WebSocket, WebSocketServer } from "ws";

interface Command {
  readonly id: string;
  readonly key: string;
  readonly name: "credit" | "debit";
  readonly input: { readonly amount: number };
}

const file = openSync(join(process.argv[2] ?? ".", "hand-written.log"), "a");
const balances = new Map<string, number>();
let lines: string[] = [];
let replies: { socket: WebSocket; text: string }[] = [];
let syncing = false;

function commit(): void {
  if (syncing || lines.length === 0) return;
  syncing = true;
  const bytes = Buffer.from(lines.join(""));
  const waiting = replies;
  lines = [];
  replies = [];
  write(file, bytes, 0, bytes.length, null, (failedWrite) => {
    if (failedWrite) throw failedWrite;
    fdatasync(file, (failedSync) => {
      if (failedSync) throw failedSync;
      for (const { socket, text } of waiting) socket.send(text);
      syncing = false;
      commit();
    });
  });
}

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (data: Buffer) => {
    const [command] = JSON.parse(data.toString()) as [Command];
    const before = balances.get(command.key) ?? 0;
    const after = command.name === "credit" ? before + command.input.amount : before - command.input.amount;
    if (after < 0) {
      socket.send(JSON.stringify([{ t: "error", id: command.id, code: "rejected", detail: "insufficient-funds" }]));
      return;
    }
    balances.set(command.key, after);
    lines.push(`${JSON.stringify([command.id, command.key, command.name, command.input.amount])}\n`);
    replies.push({ socket, text: JSON.stringify([{ t: "reply", id: command.id, value: { balance: after } }]) });
    setImmediate(commit);
  });
});
server.on("listening", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.({ port: address.port });
});
