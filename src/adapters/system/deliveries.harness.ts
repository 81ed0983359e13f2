/**
 * Deliveries that are killed: a process that delivers batches until somebody kills it, and who kills it and its broker.
 *
 * Which batch follows a cursor is known beforehand, so what must have arrived in the end can be said.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { isHoldfastError } from "../../model/errors.ts";
import { batchOf, changeOf, identityOf, never } from "../../ports/sink.contract.kit.ts";
import { idOf, type Sink, type SinkBatch } from "../../ports/sink.ts";

/** Sizes differ, so that a batch that is cut differently would be seen. */
function sizeOf(batch: number): number {
  return 1 + ((batch * 7_919) % 97);
}

const firsts: number[] = [0];

export function batchAt(position: number): SinkBatch {
  for (let index = firsts.length; index <= position; index++)
    firsts.push((firsts[index - 1] as number) + sizeOf(index - 1));
  const first = firsts[position] as number;
  const items = Array.from({ length: sizeOf(position) }, (_, index) => changeOf(first + index));
  return batchOf(items, `c${position}`, `c${position + 1}`);
}

/** Ids of all items of the first batches, in order. */
export function idsUntil(position: number): string[] {
  return Array.from({ length: position }, (_, index) => batchAt(index).items).flatMap((items) => items.map(idOf));
}

/** What the process does: delivers until it is through, whatever is unavailable meanwhile. */
export async function deliverUntil(until: number, epoch: number, make: () => Sink): Promise<void> {
  for (let isDone = false; !isDone; ) {
    const sink = make();
    try {
      const cursor = await sink.open(identityOf(epoch));
      let position = cursor === undefined ? 0 : Number(cursor.slice(1));
      process.stdout.write(`at ${position}\n`);
      for (; position < until; position++) await sink.deliver(batchAt(position), never);
      isDone = true;
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "unavailable") throw error;
    } finally {
      await sink.close();
    }
  }
}

export interface KillRounds {
  readonly rounds: number;
  /** Batches after which the last process ends by itself. */
  readonly until: number;
  /** Module that calls `deliverUntil` with the first two of its arguments, then these. */
  readonly fixture: string;
  readonly args: readonly string[];
  /** In these rounds the broker is killed too, and started again. */
  readonly isCrash: (round: number) => boolean;
  readonly crash: () => Promise<void>;
  readonly start: () => Promise<void>;
}

/** Kills a delivering process in each round; the last one is left to finish. */
export async function killRounds(plan: KillRounds): Promise<void> {
  for (let round = 0; round < plan.rounds; round++) {
    const process = killed(plan, round + 1, (round * 37) % 120);
    if (plan.isCrash(round)) {
      await plan.crash();
      await plan.start();
    }
    await process;
  }
  await killed(plan, plan.rounds + 1, undefined);
}

/** Runs a process until it has opened its sink, and then a moment longer. */
async function killed({ fixture, args, until }: KillRounds, epoch: number, killAfterMs: number | undefined) {
  const argv = ["--conditions=source", fixture, String(until), String(epoch), ...args];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  const gone = new Promise<number | null>((done) => child.once("exit", done));
  await Promise.race([new Promise((done) => child.stdout.once("data", done)), gone]);
  if (killAfterMs !== undefined) {
    await new Promise((done) => setTimeout(done, killAfterMs));
    child.kill("SIGKILL");
  }
  const code = await gone;
  assert.ok(code === null || code === 0, `the process ended by itself with ${code}`);
}

/** What arrived is what was sent, each once, and each shard in order. */
export function assertAllArrived(arrived: readonly string[], until: number): void {
  const sent = idsUntil(until);
  assert.equal(new Set(arrived).size, arrived.length, "no item is there twice");
  for (const shard of new Set(sent.map(shardOf))) {
    const ofShard = (ids: readonly string[]) => ids.filter((id) => shardOf(id) === shard);
    // Compared as text: a difference between long lists takes minutes to tell.
    assert.ok(ofShard(arrived).join() === ofShard(sent).join(), `shard ${shard} has each of its items, in order`);
  }
  assert.equal(arrived.length, sent.length, "and no other is");
}

function shardOf(id: string): string {
  return id.split("-", 1)[0] ?? "";
}
