/**
 * An owner of before, that does not know yet that it is deposed, saves a snapshot: what it saves is true, since it is made of
 * durable records, and yet it must not come after what its successor published.
 *
 * Invariant: the images are made by the core from the records that the witness saw, up to an offset at which the old epoch
 * still held.
 */
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { requestsOf } from "../core/dedup.ts";
import { imageOf } from "../core/image.ts";
import { stepOwner } from "../core/owner.ts";
import { makeOwner } from "../core/owner-state.ts";
import { isHoldfastError } from "../model/errors.ts";
import { limitsWith } from "../model/limits.ts";
import { codesOf } from "../runtime/codes.ts";
import { type SaveInput, ShardSnapshots } from "../runtime/snapshots.ts";
import { type Chain, decodeFrame } from "../wire/frame.ts";
import { encodeImage } from "../wire/image.ts";
import { simulatedDefinitions } from "./fresh-replay.ts";
import type { Kept } from "./kept.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

/** Something that the store may answer an owner that was deposed. */
const refusals = new Set(["fenced", "unavailable", "invalid-configuration"]);

export async function saveAsZombie(world: World, kept: Kept, witness: Witness): Promise<void> {
  const shard = world.prng.integer(world.swarm.shardCount);
  const input = inputOf(world, witness, shard);
  if (input === undefined) return;
  const { timeline } = world;
  const holder = { alive: true, after: (ms: number, run: () => void) => void timeline.after(ms, run) };
  const clock = new VirtualClock({ timeline });
  const snapshots = new ShardSnapshots({ store: kept.openSnapshots(holder), shard, clock });
  const told = await snapshots.save(input).then(
    () => "published",
    (error: unknown) => {
      if (!isHoldfastError(error) || !refusals.has(error.code)) throw error;
      return error.code;
    },
  );
  world.note(`an owner of epoch ${input.image.epoch} saved shard ${shard} at ${input.image.at}: ${told}`);
}

/** What an owner whose epoch is over had when it was deposed. */
function inputOf(world: World, witness: Witness, shard: number): SaveInput | undefined {
  const truth = witness.shards[shard];
  if (truth === undefined || truth.epoch < 2) return undefined;
  const last = world.prng.between(1, truth.epoch - 1);
  const definitions = simulatedDefinitions(world.deployments.generation);
  const owner = makeOwner({ shard, definitions, limits: limitsWith(world.swarm.limits), seed: 1 });
  let chain: Chain = 0;
  // code that does not know all of the log never owned the shard
  if (!world.deployments.knows(shard)) return undefined;
  for (const { at, bytes } of truth.frames.values()) {
    const frame = decodeFrame(bytes, shard, at, undefined);
    if (frame.epoch > last) break;
    frame.records.forEach((record, index) => stepOwner(owner, { kind: "replay", at: at + index, record }, []));
    chain = frame.chain;
  }
  // a broken entity has no image
  if (owner.parked.size > 0 || owner.tail === 1) return undefined;
  const images = owner.slots.values().map((slot) => encodeImage(imageOf(slot)));
  const { epoch, timeMs, tail: at } = owner;
  const image = { at, chain, epoch, timeMs, requests: requestsOf(owner.dedup) };
  return { image, images: (since) => images.filter(({ touched }) => touched >= since), codes: codesOf(definitions) };
}
