/**
 * Planted bugs of what is kept beside the log: images, stamps, snapshots, trims.
 *
 * Invariant: as in `bugs.ts`, which lists these with the others.
 */
import { bug, edit, type PlantedBug } from "./planted-bug.ts";

const images: readonly PlantedBug[] = [
  bug(
    "stamp-before-images",
    "says that the state store is complete before all images are stored",
    edit(
      "runtime/checkpointer.ts",
      "    await this.#writeBack(keep, owner.dirty.size);\n",
      "    await keep.stamp(image, owner);\n    await this.#writeBack(keep, owner.dirty.size);\n",
    ),
  ),
  bug(
    "undurable-image-stored",
    "stores images whose records may yet be lost",
    edit("runtime/keep.ts", "      if (owner.durable < below) await durable(host, below);\n", ""),
    edit("runtime/keep.ts", "      if (owner.durable < below) throw new Abandoned();\n", "      void durable;\n"),
  ),
  bug(
    "images-out-of-turn",
    "writes images of one entity in no order",
    edit("runtime/keep.ts", "    const result = this.#turn.then(work);\n", "    const result = work();\n"),
  ),
  bug(
    "replay-evolves-twice",
    "replays records that an image contains",
    edit("core/replay.ts", "slot !== undefined && at <= slot.touched;", "(slot === undefined) === true && at < 0;"),
  ),
  bug(
    "dedup-not-stamped",
    "leaves the request ids out of what it keeps",
    edit("runtime/keep.ts", "requests: requestsBelow(owner.dedup, at) };", "requests: [] };\n    void requestsBelow;"),
  ),
  bug(
    "dedup-not-in-snapshot",
    "leaves the request ids out of snapshots",
    edit(
      "runtime/snapshots.ts",
      "this.#requests.write(stamp, image.requests, base",
      "this.#requests.write(stamp, [], base",
    ),
  ),
  bug(
    "busy-not-activated",
    "leaves entities with timers, sends and calls out of memory after a restore",
    edit("runtime/keep.ts", "for (const name of [...this.images.busy()])", "for (const name of [] as string[])"),
  ),
  bug(
    "dirty-evicted",
    "forgets entities whose image is not stored",
    edit("core/image.ts", "    !slot.dirty &&\n    slot.waiting === 0 &&\n    slot.stored === slot.touched &&\n", ""),
  ),
  bug(
    "failed-write-forgotten",
    "does not take up again the images whose write failed or was given up",
    edit(
      "runtime/keep.ts",
      'for (const { name } of images) host.step({ kind: "unstored", entity: parseRef(name) });',
      "void images;",
    ),
    edit("runtime/keep.ts", "      if (this.#failures !== this.#failuresBefore) throw new Abandoned();\n", ""),
  ),
];

const belief: readonly PlantedBug[] = [
  bug(
    "other-code-state-store",
    "takes states that other code evolved as they are, from the state store",
    edit("runtime/shard-images.ts", "    return sameCodes(stamp.codes, this.#codes);", "    return sameCodes({}, {});"),
  ),
  bug(
    "other-code-snapshot",
    "takes states that other code evolved as they are, from snapshots",
    edit(
      "runtime/codes.ts",
      "    if (code === now[name]) continue;",
      '    if (code !== "" || now === undefined) continue;',
    ),
  ),
  bug(
    "image-checksum-ignored",
    "does not check the checksum of an image",
    edit(
      "adapters/lmdb/keys.ts",
      "return crc32(payload, crc32(key)) === value.readUInt32LE(length) ? payload : undefined;",
      "return payload;",
    ),
  ),
  bug(
    "object-checksum-ignored",
    "does not check the digest of a snapshot's object",
    edit(
      "runtime/snapshot-objects.ts",
      'if ((await digestInSlices(bytes, turn)) !== ref.sha256) throw damaged(ref.name, "fails its SHA-256");',
      "await digestInSlices(bytes, turn);",
    ),
  ),
  bug(
    "lost-end-missed",
    "clears a state store that has more than the log (ours, until disks lied here)",
    edit("runtime/shard-images.ts", "    if (end <= tail) return;\n", "    if (end > 0) return;\n"),
    edit(
      "runtime/shard-images.ts",
      "    if (stamp.at < trimmed ||",
      "    if (stamp.high > tail || stamp.at < trimmed ||",
    ),
    edit(
      "runtime/shard-images.ts",
      "#fits(stamp: Stamp, { epoch, trimmed }: LogPosition)",
      "#fits(stamp: Stamp, { epoch, tail, trimmed }: LogPosition)",
    ),
  ),
  bug(
    "old-state-store-believed",
    "takes a state store whose stamp does not fit the log",
    edit(
      "runtime/shard-images.ts",
      "    if (stamp.at < trimmed || stamp.epoch > epoch) return false;\n",
      "    void [trimmed, epoch];\n",
    ),
    edit(
      "runtime/recovery.ts",
      "      if (!isHoldfastError(error) || !distrusted.has(error.code)) throw error;",
      "      throw error;",
    ),
  ),
];

const snapshots: readonly PlantedBug[] = [
  bug(
    "snapshot-by-fenced-owner",
    "publishes a snapshot though a later owner has announced itself",
    edit(
      "runtime/snapshots.ts",
      "      if (head.epoch > epoch) throw this.#fenced(epoch, head.epoch);\n      if (head.epoch === epoch && problem === undefined) return { tag, head };",
      "      if (head.epoch >= epoch && problem === undefined) return { tag, head };",
    ),
    edit(
      "runtime/snapshots.ts",
      "    if (newest !== undefined && newest.at > at) throw this.#ahead(newest.at, at);\n",
      "    void newest;\n",
    ),
  ),
  bug(
    "trim-past-second-newest",
    "trims the log up to the newest snapshot",
    edit("runtime/snapshots.ts", "if (whole === 2) return listed.at;", "return listed.at;"),
  ),
  bug(
    "trim-past-request-ids",
    "trims records that the outcome of a remembered request id is read from",
    edit(
      "runtime/checkpointer.ts",
      "    for (const { offsets } of image.requests) if (offsets.length > 0) before = Math.min(before, offsets[0] as number);\n",
      "    void image;\n",
    ),
  ),
  bug(
    "bad-base-used",
    "rests a snapshot on one that was found to be damaged",
    edit(
      "runtime/snapshots.ts",
      "listed.at > atMost || !(await this.#isWhole(listed))) continue;",
      "listed.at > atMost || (await this.#manifestOf(listed)) === undefined) continue;",
    ),
    edit(
      "runtime/snapshots.ts",
      "      if (this.#bad.has(ref.name)) return false;\n      if (!this.#verified",
      "      if (!this.#verified",
    ),
    edit(
      "runtime/snapshots.ts",
      "if (!this.#verified.has(ref.name) && !(await this.#isGood(ref))) return false;",
      "void ref;",
    ),
  ),
  bug(
    "snapshot-lists-forgotten-changes",
    "forgets what changed when a snapshot failed",
    edit("runtime/keep.ts", "      this.#changed = undefined;\n      throw error;", "      throw error;"),
    edit("runtime/keep.ts", "changed === undefined || since !== this.#snapshotAt", "changed === undefined"),
  ),
  bug(
    "snapshot-drops-changes",
    "forgets what changed when there was a snapshot of this offset (ours, until the simulator found it)",
    edit("runtime/keep.ts", "      if (!taken) this.#keepChanged(changed);\n", "      void taken;\n"),
  ),
  bug(
    "sweep-takes-too-much",
    "deletes objects that older listed generations need",
    edit(
      "runtime/snapshots.ts",
      "    for (const listed of head.generations) {\n      needed.add(listed.name);",
      "    for (const listed of head.generations.slice(0, 1)) {\n      needed.add(listed.name);",
    ),
  ),
];

const evolution: readonly PlantedBug[] = [
  bug(
    "unknown-event-skipped",
    "leaves out an event that the code does not know",
    edit(
      "core/slot.ts",
      "  if (known === undefined || event.version > known.version) {",
      "  if (definition === undefined) {",
    ),
    edit(
      "core/slot.ts",
      "      evolveSlot(slot, [upcastEvent(slot.definition, event)]);",
      "      if (slot.definition.events.has(event.name)) evolveSlot(slot, [upcastEvent(slot.definition, event)]);",
    ),
    edit("core/slot.ts", "  return known;\n", "  return known as EventDefinition;\n"),
  ),
  bug(
    "upcast-left-out",
    "evolves an event of an older version as it is",
    edit(
      "core/slot.ts",
      "  if (event.version === known.version) return event;",
      "  if (event.version <= known.version) return event;",
    ),
  ),
  bug(
    "migrate-left-out",
    "takes a kept state of an older version as it is",
    edit(
      "runtime/codes.ts",
      "return found === undefined ? image : migrate(",
      "return found === undefined || image !== undefined ? image : migrate(",
    ),
  ),
  bug(
    "newer-state-taken",
    "takes a kept state of a newer version than the code's",
    edit(
      "runtime/codes.ts",
      "} else if (version > definition.version || (version < definition.version && definition.migrate === undefined)) {",
      "} else if (version < definition.version && definition.migrate === undefined) {",
    ),
  ),
];

export const checkpointBugs: readonly PlantedBug[] = [...images, ...belief, ...snapshots, ...evolution];
