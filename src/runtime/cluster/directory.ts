/**
 * Who owns which shard, as far as this node knows.
 *
 * Invariant: of two claims the one with the higher epoch counts. Being wrong costs a question to a node that says `moved`.
 */
import { type NodeRef, type ShardTarget, sameNode } from "../../model/cluster.ts";
import type { Epoch, ShardId } from "../../model/ids.ts";

interface Known {
  readonly owner: NodeRef | undefined;
  readonly epoch: Epoch;
}

export class Directory {
  readonly #known = new Map<ShardId, Known>();
  readonly #targets = new Map<ShardId, ShardTarget>();
  readonly #changed: (shard: ShardId) => void;
  readonly #listeners = new Set<() => void>();

  constructor(changed: (shard: ShardId) => void) {
    this.#changed = changed;
  }

  /** Somebody owns a shard, or does not any more. Called from inside of what changed it. @returns ends it */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Who is to be asked; undefined while nobody is known to own it. */
  owner(shard: ShardId): NodeRef | undefined {
    const known = this.#known.get(shard);
    return known === undefined ? this.#targets.get(shard)?.owner : known.owner;
  }

  /** An owner has left it, and no other has said yet that it owns it. */
  get hasUnowned(): boolean {
    for (const { owner } of this.#known.values()) if (owner === undefined) return true;
    return false;
  }

  epoch(shard: ShardId): Epoch {
    return this.#known.get(shard)?.epoch ?? 0;
  }

  target(shard: ShardId): ShardTarget | undefined {
    return this.#targets.get(shard);
  }

  /** A node says that it owns the shard. */
  owned(shard: ShardId, owner: NodeRef, epoch: Epoch): void {
    if (epoch < this.epoch(shard)) return;
    this.#known.set(shard, { owner, epoch });
    this.#changed(shard);
    this.#tell();
  }

  /** This node does not own it any more, or says so: who does is to be found out. */
  left(shard: ShardId, owner: NodeRef): void {
    this.#tell();
    const known = this.#known.get(shard);
    if (known !== undefined && !sameNode(known.owner, owner)) return;
    this.#known.set(shard, { owner: undefined, epoch: known?.epoch ?? 0 });
  }

  /** It cannot be reached: what it owned is owned by nobody until somebody says so. */
  gone(node: NodeRef): void {
    for (const [shard, { owner }] of this.#known) if (sameNode(owner, node)) this.left(shard, node);
  }

  /** @returns whether it is another than before */
  targeted(shard: ShardId, target: ShardTarget): void {
    const before = this.#targets.get(shard);
    this.#targets.set(shard, target);
    const known = this.#known.get(shard);
    // Nobody is known, and somebody else is meant from now on.
    if (known?.owner === undefined && !sameNode(before?.owner, target.owner)) {
      this.#known.delete(shard);
      if (known !== undefined) this.#known.set(shard, { owner: target.owner, epoch: known.epoch });
    }
    this.#changed(shard);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
