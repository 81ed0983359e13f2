/**
 * Holds what nodes have in memory of their shards, owners and standbys, against a replay of the log up to the same offset.
 *
 * Invariant: nothing of a node is used but what is compared.
 */
import { imageOf } from "../../core/image.ts";
import { stepOwner } from "../../core/owner.ts";
import { makeOwner } from "../../core/owner-state.ts";
import { formatRef, type Offset, type ShardId } from "../../model/ids.ts";
import { limitsWith } from "../../model/limits.ts";
import { decodeFrame } from "../../wire/frame.ts";
import { decodeImage, encodeImage } from "../../wire/image.ts";
import { simulatedDefinitions } from "../fresh-replay.ts";
import type { Witness } from "../witness.ts";
import type { World } from "../world.ts";
import type { SimNode } from "./sim-node.ts";

type Images = ReadonlyMap<string, Uint8Array>;

export class Copies {
  /** Compared so far. */
  compared = 0;
  readonly #world: World;
  readonly #witness: Witness;
  readonly #nodes: readonly SimNode[];

  constructor(world: World, witness: Witness, nodes: readonly SimNode[]) {
    this.#world = world;
    this.#witness = witness;
    this.#nodes = nodes;
  }

  /** Now. What an owner has decided and not made durable is left for another time. */
  compare(): void {
    for (let shard = 0; shard < this.#world.swarm.shardCount; shard++) {
      const fresh = new Map<Offset, Images>();
      for (const { name, cluster } of this.#nodes) {
        const roles = cluster?.node.roles;
        if (roles === undefined || !(roles.follows(shard) || roles.owns(shard))) continue;
        const { tail, durable } = roles.position(shard);
        if (tail !== durable && roles.owns(shard)) continue;
        let expected = fresh.get(tail);
        if (expected === undefined) fresh.set(tail, (expected = this.#replay(shard, tail)));
        this.#check(`shard ${shard} of ${name} at ${tail}`, roles.images(shard), expected);
      }
    }
  }

  /** Nodes that follow the shard and are at the end of its log. */
  upToDate(shard: ShardId): number {
    const next = this.#witness.shards[shard]?.next;
    return this.#nodes.filter(({ cluster }) => {
      const roles = cluster?.node.roles;
      return roles?.follows(shard) === true && roles.position(shard).tail === next;
    }).length;
  }

  #replay(shard: ShardId, tail: Offset): Images {
    const definitions = simulatedDefinitions(0);
    const owner = makeOwner({ shard, definitions, limits: limitsWith(this.#world.swarm.limits), seed: 1 });
    for (const { at, bytes } of this.#witness.shards[shard]?.frames.values() ?? []) {
      if (at >= tail) break;
      decodeFrame(bytes, shard, at, undefined).records.forEach((record, index) => {
        stepOwner(owner, { kind: "replay", at: at + index, record }, []);
      });
    }
    return new Map([...owner.slots].map(([, slot]) => [formatRef(slot.ref), encodeImage(imageOf(slot)).bytes]));
  }

  #check(what: string, found: Images, expected: Images): void {
    for (const name of new Set([...found.keys(), ...expected.keys()])) {
      this.compared++;
      const [one, other] = [textOf(found.get(name)), textOf(expected.get(name))];
      if (one === other) continue;
      const detail = `${what}: ${name} is ${one}, the log says ${other}`;
      this.#world.violated("a copy is what the log says", detail);
    }
  }
}

function textOf(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "not there" : JSON.stringify(decodeImage(bytes));
}
