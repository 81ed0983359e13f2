/**
 * The load generator of the cluster's benchmark, in a process of its own: typed clients over WebSocket, each of which knows the doors it is
 * given. Argument: the number of connections.
 */

import { Agent, request } from "node:http";
import { createHistogram } from "node:perf_hooks";
import { type Client, connect } from "holdfast/client";
import { WebSocket } from "ws";
import { answerQuestions } from "./cluster-ask.ts";
import { type bulk, commandOf, type LoadType } from "./cluster-entities.ts";
import { Pacer, type PacerOrder } from "./cluster-pacer.ts";
import type { wallet } from "./wallet.ts";

type Service = { wallet: typeof wallet; bulk: typeof bulk };

/** Of the load; each may go to another door. */
let clients: Client<Service>[] = [];
/** Each knows one door. */
let probes: Client<Service>[] = [];
let turn = 0;
/** Over HTTP instead. */
let http: { readonly url: string; readonly agent: Agent } | undefined;

function connectTo(urls: readonly string[]): Client<Service> {
  const doors = urls.map((url) => `${url}/v1/socket`);
  return connect<Service>({ url: doors, WebSocket: WebSocket as never, learnDoors: false });
}

/** One POST with a small body, over a connection that is kept. */
function post(url: string, agent: Agent): Promise<void> {
  const body = JSON.stringify({ amount: 5 });
  const headers = { "content-type": "application/json", "content-length": body.length };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: "POST", agent, headers }, (answer) => {
      answer.resume();
      answer.once("error", reject);
      answer.once("end", () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}`))));
    });
    asked.once("error", reject);
    asked.end(body);
  });
}

function one(type: LoadType, key: string, from = clients): Promise<unknown> {
  const client = from[turn++ % from.length] as Client<Service>;
  const { command, input } = commandOf(type);
  return type === "wallet"
    ? client.entity("wallet", key).execute(command as "credit", input as { amount: number })
    : client.entity("bulk", key).execute(command as "touch", input as null);
}

const pacer = new Pacer(async (type, key) => void (await one(type, key)));

interface Closed {
  readonly inFlight: number;
  readonly warmMs: number;
  readonly measureMs: number;
  readonly entities: number;
}

let closed: { done: number; failed: number; micros: ReturnType<typeof createHistogram>; over: boolean } | undefined;

answerQuestions({
  /** Connects: a client for each list of doors. Those of before are closed. */
  connect: async (doors: readonly (readonly string[])[]) => {
    http?.agent.destroy();
    http = undefined;
    for (const client of [...clients, ...probes]) await client.close();
    clients = doors.map(connectTo);
    probes = doors.map(([url]) => connectTo([url as string]));
    await Promise.all([...clients, ...probes].map((client) => client.opened()));
  },
  /** From now on over HTTP, with so many connections. */
  http: ({ url, inFlight }: { url: string; inFlight: number }) => {
    http?.agent.destroy();
    http = { url, agent: new Agent({ keepAlive: true, maxSockets: inFlight }) };
  },
  /** All doors are reached again. */
  reached: () => Promise.all(probes.map((client) => client.opened())).then(() => null),
  begin: (order: PacerOrder) => pacer.begin(order),
  open: () => pacer.open(),
  shut: () => pacer.shut(),
  /** By doors other than the one of this number. */
  first: ({ shards, fromMs, besides }: { shards: readonly number[]; fromMs: number; besides: number }) => {
    const from = probes.filter((_, at) => at !== besides);
    return pacer.first(shards, fromMs, (type, key) => one(type, key, from));
  },
  totals: () => pacer.totals(),
  end: () => pacer.end(),
  /** A closed loop with so many in flight, over wallets. */
  closedLoop: async ({ inFlight, entities, warmMs }: Closed) => {
    const run = { done: 0, failed: 0, micros: createHistogram(), over: false };
    closed = run;
    let sent = 0;
    for (let lane = 0; lane < inFlight; lane++)
      void (async () => {
        while (!run.over) {
          const fromMs = performance.now();
          try {
            const key = `w${(sent++ * 7_919) % entities}`;
            await (http === undefined ? one("wallet", key) : post(`${http.url}/${key}`, http.agent));
            run.done++;
          } catch {
            run.failed++;
          }
          run.micros.record(Math.max(1, Math.round((performance.now() - fromMs) * 1_000)));
        }
      })();
    await new Promise((resolve) => setTimeout(resolve, warmMs));
    run.micros.reset();
    run.done = run.failed = 0;
  },
  closedOver: () => {
    if (closed === undefined) return undefined;
    closed.over = true;
    const { done, failed, micros } = closed;
    return { done, failed, p50Ms: micros.percentile(50) / 1_000, p99Ms: micros.percentile(99) / 1_000 };
  },
  cpu: () => process.cpuUsage(),
});
process.once("disconnect", () => process.exit(0));
process.send?.({ ready: true });
