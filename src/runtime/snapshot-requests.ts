/**
 * Writes the request ids of a shard's dedup window, leaving out the chunks that the base has already.
 *
 * Invariant: a chunk is left out only if its content is the same, by SHA-256. A full chunk is hashed once by one owner, because
 * an owner only adds ids at the end of a generation.
 */
import type { RequestsImage } from "../model/images.ts";
import type { RequestsRef } from "../wire/snapshot.ts";
import { chunksOf, encodeRequests, idsPerChunk, requestsDigest } from "../wire/snapshot-requests.ts";
import type { ShardObjects, Stamp } from "./snapshot-objects.ts";

export class RequestsWriter {
  readonly #objects: ShardObjects;
  /** Of full chunks, by where they are. */
  #digests = new Map<string, string>();

  constructor(objects: ShardObjects) {
    this.#objects = objects;
  }

  async write(
    stamp: Stamp,
    requests: readonly RequestsImage[],
    before: readonly RequestsRef[],
  ): Promise<RequestsRef[]> {
    const there = new Map(before.map((ref) => [ref.contentSha256, ref]));
    const digests = new Map<string, string>();
    const refs: RequestsRef[] = [];
    for (const generation of requests) {
      for (const chunk of chunksOf(generation)) {
        const count = chunk.offsets.length;
        const place = `${chunk.startMs}/${chunk.offsets[0]}/${chunk.offsets[count - 1]}`;
        const digest = this.#digests.get(place) ?? requestsDigest(chunk);
        if (count === idsPerChunk) digests.set(place, digest);
        refs.push(there.get(digest) ?? (await this.#upload(stamp, chunk)));
        await this.#objects.turn();
      }
    }
    this.#digests = digests;
    return refs;
  }

  async #upload(stamp: Stamp, chunk: RequestsImage): Promise<RequestsRef> {
    const { bytes, ref } = encodeRequests(chunk);
    const name = this.#objects.nameOf("objects", stamp, ref.sha256);
    await this.#objects.put(name, bytes);
    return { name, ...ref };
  }
}
