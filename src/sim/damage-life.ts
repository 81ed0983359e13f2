/**
 * One life of a node over copies of what a simulation stored, on a timeline of its own: it starts, is read, works a little
 * so that checkpoints come, is read again, and is killed.
 *
 * Invariant: no fault comes; so whatever it cannot do is due to what it found.
 */
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { passUntil } from "../adapters/virtual/drive.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { CallResult } from "../model/records.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { allEntities } from "./client.ts";
import { makeCourier } from "./courier.ts";
import type { Copies } from "./damage-kinds.ts";
import { entities } from "./entities.ts";
import { saplingOf } from "./sapling.ts";
import type { World } from "./world.ts";

export interface Life {
  /** Why it did not start, or ended by itself. */
  readonly refused: unknown;
  /** JSON of version and state of every entity, after the start and at the end. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Where each shard's log ended when it started. */
  readonly tails: readonly number[];
  /** Faults that it told. */
  readonly told: number;
}

const principal = { kind: "user", id: "damage" } as const;
/** Every checkpoint that is due comes within it, with its snapshot and its trim. */
const workMs = 11_000;

export async function liveOver(world: World, copies: Copies, { work }: { work: boolean }): Promise<Life> {
  const timeline = new Timeline();
  const prng = new Prng(world.swarm.seed);
  const clock = new VirtualClock({ timeline, wallMs: world.wallMs + copies.lives++ * 60_000 });
  const random = { bytes: (count: number) => prng.bytes(count) };
  const { log: opening, kill } = copies.openLog(timeline, random);
  let told = 0;
  let refused: unknown;
  let node: HoldfastNode | undefined;
  let tails: number[] = [];
  const start = async () => {
    const log = await opening;
    const shards = Array.from({ length: world.swarm.shardCount }, (_, shard) => shard);
    tails = (await log.tail(shards)).map(({ tail }) => tail);
    node = await startNode({
      entities: [...entities, saplingOf(world.deployments.generation), makeCourier(never)],
      log,
      ...copies.openKept(),
      clock,
      random,
      shardCount: world.swarm.shardCount,
      limits: world.swarm.limits,
      onFault: () => told++,
      onCrash: (error) => (refused ??= error),
    });
  };
  void start().catch((error: unknown) => (refused ??= error));
  await passUntil(timeline, timeline.nowMs + 2_000);
  const read = () => readAll(world, node, timeline);
  const before = refused === undefined ? await read() : [];
  if (work && refused === undefined) {
    for (const entity of allEntities(world.swarm)) act(node, entity, clock.now(), prng);
    await passUntil(timeline, timeline.nowMs + workMs);
  }
  const after = refused === undefined && work ? await read() : before;
  clock.stop();
  kill();
  return { refused, before, after, tails, told };
}

function never(): Promise<never> {
  return new Promise(() => {});
}

function act(node: HoldfastNode | undefined, entity: EntityRef, nowMs: number, prng: Prng): void {
  const commands: Readonly<Record<string, readonly [string, unknown]>> = {
    wallet: ["grant", { amount: 1 }],
    counter: ["add", { amount: 1 }],
    sapling: ["grow", { by: 2 }],
    fragile: ["poke", { how: "fine" }],
  };
  const [command, input] = commands[entity.type] ?? [];
  if (command === undefined) return;
  node?.execute({ entity, command, input, requestId: makeUuidV7(nowMs, prng.bytes(16)), principal }, () => {});
}

/** A shard that found an image damaged starts over meanwhile: it is asked again. */
async function readAll(world: World, node: HoldfastNode | undefined, timeline: Timeline): Promise<string[]> {
  const answers: string[] = [];
  for (const [index, entity] of allEntities(world.swarm).entries()) {
    for (let tries = 0; tries < 20 && answers[index] === undefined; tries++) {
      let result: CallResult | undefined;
      node?.query({ entity, query: "state", input: undefined, principal }, (answer) => (result = answer));
      await passUntil(timeline, timeline.nowMs + (tries === 0 ? 1 : 500));
      if (result?.ok === true) answers[index] = JSON.stringify([result.version, result.value]);
      else if (tries === 19) answers[index] = JSON.stringify([-1, `${formatRef(entity)}: ${JSON.stringify(result)}`]);
    }
  }
  return answers;
}
