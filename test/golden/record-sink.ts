/**
 * Plays the kitchen sink on any log: three generations of the code one after the other, as three deployments would.
 *
 * Invariant: time and chance come from here, so the same code records the same states.
 */
import assert from "node:assert/strict";
import { ManualClock } from "../../examples/teen-patti/src/game.testkit.ts";
import type { CallResult } from "../../src/model/records.ts";
import type { ShardLog } from "../../src/ports/log.ts";
import { type HoldfastNode, startNode } from "../../src/runtime/node.ts";
import { Prng } from "../../src/std/prng.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { type OrderState, sinkOf } from "./kitchen-sink.ts";

export const sinkShards = 4;

export async function recordSink(openLog: () => Promise<ShardLog>): Promise<void> {
  const clock = new ManualClock();
  const prng = new Prng(3);
  for (const generation of [1, 2, 3] as const) {
    const node = await startNode({
      entities: sinkOf(generation),
      log: await openLog(),
      clock,
      random: { bytes: (count) => prng.bytes(count) },
      shardCount: sinkShards,
      name: `generation-${generation}`,
    });
    const sink = new Sink(node, clock, prng);
    await live(sink, generation);
    await ship(sink);
    if (generation === 2) await breakDown(sink);
    await node.stop();
    clock.move(1_000);
  }
}

class Sink {
  readonly node: HoldfastNode;
  readonly clock: ManualClock;
  readonly #prng: Prng;

  constructor(node: HoldfastNode, clock: ManualClock, prng: Prng) {
    this.node = node;
    this.clock = clock;
    this.#prng = prng;
  }

  run(key: string, command: string, input?: unknown, id = "ann", type = "order"): Promise<CallResult> {
    this.clock.move(10);
    const requestId = makeUuidV7(this.clock.now(), this.#prng.bytes(16));
    const principal = { kind: "user", id } as const;
    const call = { entity: { type, key }, command, input, requestId, principal };
    return new Promise((resolve) => this.node.execute(call, resolve));
  }

  async state(key: string): Promise<OrderState> {
    const principal = { kind: "user", id: "ann" } as const;
    const call = { entity: { type: "order", key }, query: "state", input: undefined, principal };
    const result = await new Promise<CallResult>((resolve) => this.node.query(call, resolve));
    assert.ok(result.ok);
    return result.value as unknown as OrderState;
  }

  /** Waits for what sends and timers bring about. */
  async until(key: string, holds: (state: OrderState) => boolean): Promise<void> {
    for (let turn = 0; turn < 100_000; turn++) {
      if (holds(await this.state(key))) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.fail(`${key} never came to what was waited for`);
  }
}

const operator = { kind: "operator", id: "olga" } as const;

/** A call that works, one that ends with its failure, and one that is parked and dropped. */
async function ship(sink: Sink): Promise<void> {
  const { node } = sink;
  for (const [how, failure] of [
    ["by air", "park"],
    ["never", "settle"],
    ["never", "park"],
  ] as const) {
    assert.ok((await sink.run("p", "ship", { how, failure }, "ann", "parcel")).ok);
    for (let calls = await node.listCalls(); calls.length > 0; calls = await node.listCalls()) {
      await new Promise((resolve) => setImmediate(resolve));
      const [call] = calls;
      if (call?.phase !== "parked") continue;
      const { entity, id } = call;
      await new Promise((resolve) => node.operateCall({ entity, id, verb: "drop", principal: operator }, resolve));
    }
  }
}

/** An entity that is parked, looked at, repaired and resumed. */
async function breakDown(sink: Sink): Promise<void> {
  const entity = { type: "parcel", key: "p" };
  const broken = await sink.run("p", "note", { line: "poison" }, "ann", "parcel");
  assert.equal(broken.ok ? "ok" : broken.code, "decide-failed");
  while (sink.node.quarantined(operator)[0]?.readable !== true) await new Promise((resolve) => setImmediate(resolve));
  for (const verb of ["inspect", "repair", "skip", "resume"] as const) {
    const state = verb === "repair" ? { state: { lines: ["repaired"] } } : {};
    const result = await new Promise<CallResult>((resolve) =>
      sink.node.operate({ entity, verb, principal: operator, ...state }, resolve),
    );
    assert.ok(result.ok, verb);
  }
}

async function live(sink: Sink, generation: number): Promise<void> {
  for (const key of ["a", "b", `only-${generation}`]) {
    const { lines } = await sink.state(key);
    assert.ok((await sink.run(key, "place", { amount: 5 * generation })).ok, `${key} had ${lines.length} lines`);
  }
  // a timer that fires, sets itself again and fires again
  for (const count of [1, 2]) {
    const { reminders } = await sink.state(`only-${generation}`);
    assert.equal(reminders, count - 1);
    sink.clock.move(60_001);
    await sink.until(`only-${generation}`, (state) => state.reminders === count);
  }
  await sink.run("a", "pay", { till: "front" });
  await sink.until("a", ({ paid }) => paid === "yes");
  await sink.run("b", "pay", { till: "closed" });
  await sink.until("b", ({ paid }) => paid === "refused");
  await sink.run("a", "roll");
  for (const [command, input, user, code] of [
    ["place", { amount: -1 }, "ann", "invalid-input"],
    ["pay", { till: "front" }, "mallory", "forbidden"],
    ["break", undefined, "ann", "decide-failed"],
  ] as const) {
    const result = await sink.run("a", command, input, user);
    assert.equal(result.ok ? "ok" : result.code, code);
  }
  if (generation < 3) return;
  const full = await sink.run("a", "place", { amount: 1 });
  assert.equal(full.ok ? "ok" : full.reason, "full");
}
