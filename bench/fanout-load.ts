/**
 * Thousands of subscribers in one process that only count frames, and one more connection that makes the changes: one every
 * `gap ms`. Says for each change when the last subscriber had its frame.
 *
 *     fanout-load.ts <port> <holdfast|bare> <subscribers> <changes> <gap ms> <bytes of a bare frame>
 *
 * Waits for "go" when everybody is subscribed.
 */
import { WebSocket } from "ws";
import { nowMs } from "./sends.ts";
import { uuidV7 } from "./uuid.ts";

const [port, kind, ...numbers] = process.argv.slice(2) as [string, "holdfast" | "bare", ...string[]];
const [subscribers, changes, gapMs, frameBytes] = numbers.map(Number) as [number, number, number, number];
const warmChanges = 20;
const opening = 100;
const path = kind === "bare" ? "/" : "/v1/socket";
const protocols = (encoding: "binary" | "text"): string[] =>
  kind === "bare" ? [] : [encoding === "binary" ? "holdfast.v1" : "holdfast.v1.json"];

let frames = 0;
let bytes = 0;
let lastMs = 0;
let complete = (): void => {};

function open(encoding: "binary" | "text"): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols(encoding), { perMessageDeflate: false });
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
    socket.once("close", (code) => reject(new Error(`a connection was closed with ${code}`)));
  });
}

async function subscribe(index: number): Promise<void> {
  const socket = await open("binary");
  if (kind === "holdfast") {
    const { Packr } = await import("msgpackr");
    const packr = new Packr({ useRecords: false, variableMapSize: true });
    const hello = { t: "hello", token: `viewer${index}` };
    socket.send(packr.pack([hello, { t: "subscribe", id: 1, type: "arena", key: "a", view: "board" }]));
    // Welcome and the first absolute come in one frame or in two.
    let welcomed = false;
    await new Promise<void>((resolve) => {
      socket.on("message", (data: Buffer) => {
        if (welcomed || data.length > 500) {
          socket.removeAllListeners("message");
          resolve();
        }
        welcomed = true;
      });
    });
  }
  socket.on("message", (data: Buffer) => {
    bytes += data.length;
    if (++frames < subscribers) return;
    lastMs = nowMs();
    complete();
  });
}

async function change(commander: WebSocket, index: number): Promise<void> {
  frames = 0;
  bytes = 0;
  const all = new Promise<void>((resolve) => {
    complete = resolve;
  });
  if (kind === "bare") commander.send(Buffer.alloc(frameBytes, 7));
  else {
    const input = { seat: index % 20, points: 10 };
    commander.send(JSON.stringify([{ t: "command", id: uuidV7(), type: "arena", key: "a", name: "score", input }]));
  }
  await all;
}

const commander = await open("text");
if (kind === "holdfast") commander.send(JSON.stringify([{ t: "hello", token: "commander" }]));
for (let begun = 0; begun < subscribers; begun += opening) {
  const some = Math.min(opening, subscribers - begun);
  await Promise.all(Array.from({ length: some }, (_, index) => subscribe(begun + index)));
}
for (let index = 0; index < warmChanges; index++) await change(commander, index);
process.send?.({ bytesEach: bytes / subscribers });
await new Promise<void>((resolve) => process.once("message", () => resolve()));
const received: number[] = [];
for (let index = 0; index < changes; index++) {
  const startedMs = nowMs();
  await change(commander, index);
  received.push(lastMs);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, gapMs - (nowMs() - startedMs))));
}
process.send?.({ received });
