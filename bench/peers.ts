/**
 * What a call costs between two nodes: a command's call and its answer over the transport between nodes (checked, encoded, decoded and
 * checked again, both ways), beside a bare WebSocket that echoes bytes of the call's length in the same process, taken in turns.
 *
 *     node --conditions=source bench/peers.ts [--quick]
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { peersTransport } from "../src/adapters/peers/transport.ts";
import { limitsDefault } from "../src/model/limits.ts";
import type { PeerConnection, PeerMessage } from "../src/ports/transport.ts";
import { encodePlain } from "../src/wire/codec.ts";
import { peerBody, readPeer } from "../src/wire/peer-codec.ts";
import { endProcess, firstMessage, startProcess } from "./process.ts";

const { values: options } = parseArgs({ options: { quick: { type: "boolean" } } });
const [rounds, measureMs] = options.quick === true ? [3, 500] : [9, 1_500];
const secret = "of a benchmark that listens on this machine alone";

const call = (id: number) =>
  peerBody(
    {
      t: "call",
      id,
      verb: "execute",
      call: {
        entity: { type: "wallet", key: "player-0001" },
        command: "debit",
        input: { amount: 25, reason: "bet", hand: 1_204 },
        requestId: "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        principal: { kind: "user", id: "player-0001", roles: ["player"] },
        mayCreate: true,
      },
    },
    limitsDefault,
  );

/** Something that is asked and answers later, each time. */
interface Contender {
  readonly name: string;
  ask: () => void;
  answered: () => void;
}

/** A closed loop. */
function measure(contender: Contender, inFlight: number): Promise<{ perSecond: number; p50Us: number }> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const started: number[] = [];
    const took: number[] = [];
    let head = 0;
    const ask = (): void => {
      started.push(performance.now());
      contender.ask();
    };
    contender.answered = () => {
      const nowMs = performance.now();
      took.push(nowMs - (started[head++] as number));
      if (nowMs - startMs < measureMs) return ask();
      if (head < started.length) return;
      const sorted = took.sort((one, other) => one - other);
      const p50Us = 1_000 * (sorted[sorted.length >> 1] as number);
      resolve({ perSecond: (1_000 * took.length) / (nowMs - startMs), p50Us });
    };
    for (let count = 0; count < inFlight; count++) ask();
  });
}

async function peersContender(address: string): Promise<{ contender: Contender; close: () => Promise<void> }> {
  let id = 0;
  const contender: Contender = { name: "call and answer between nodes", ask: () => {}, answered: () => {} };
  const message = (_connection: PeerConnection, told: PeerMessage): void => {
    if (readPeer(told).t === "answer") contender.answered();
  };
  const transport = await peersTransport({ secrets: [secret] })({
    self: { node: "parent", generation: 1 },
    info: {},
    opened: () => ({ message, drained: () => {}, closed: () => {} }),
  });
  const connection = await transport.dial(address, { node: "child", generation: 1 });
  contender.ask = () => void connection.send({ body: call(++id) });
  return { contender, close: () => transport.close() };
}

async function echoContender(port: number): Promise<{ contender: Contender; close: () => void }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  await once(socket, "open");
  const bytes = encodePlain(call(1), "msgpack");
  const contender: Contender = {
    name: `bare WebSocket, ${bytes.length} bytes echoed`,
    ask: () => socket.send(bytes),
    answered: () => {},
  };
  socket.on("message", () => contender.answered());
  return { contender, close: () => socket.terminate() };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] as number;
}

const child = startProcess("peers-child.ts", [secret]);
const { peers, echo } = await firstMessage<{ peers: string; echo: number }>(child);
const [ours, bare] = [await peersContender(peers), await echoContender(echo)];
console.log(`| in flight | way | round trips/s | p50 µs |\n|---|---|---|---|`);
for (const inFlight of [1, 64]) {
  const results = [ours.contender, bare.contender].map((contender) => ({ contender, perSecond: [0], p50Us: [0] }));
  for (let round = 0; round <= rounds; round++) {
    for (const { contender, perSecond, p50Us } of results) {
      const measured = await measure(contender, inFlight);
      perSecond[round] = measured.perSecond;
      p50Us[round] = measured.p50Us;
    }
  }
  for (const { contender, perSecond, p50Us } of results) {
    // The first round warms up.
    const [rate, p50] = [median(perSecond.slice(1)), median(p50Us.slice(1))];
    console.log(`| ${inFlight} | ${contender.name} | ${Math.round(rate).toLocaleString("en")} | ${p50.toFixed(0)} |`);
  }
}
await ours.close();
bare.close();
await endProcess(child);
