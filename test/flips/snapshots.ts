/**
 * Every bit of every object of a sample snapshot set turned once: head, manifests, parts, request ids. A load must give the
 * newest generation as it was, or tell what is bad and give an older one as that was.
 */
import { MemoryObjects } from "../../src/adapters/memory/snapshot-store.ts";
import { assertSame, type ModelCopy, openShard, requestsOf, ShardModel } from "../../src/runtime/snapshots.harness.ts";
import { type Counts, noCounts } from "./counts.ts";

async function makeSample(): Promise<{ objects: MemoryObjects; generations: ModelCopy[] }> {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 7, bytesEach: 24 });
  const generations: ModelCopy[] = [];
  for (let generation = 0; generation < 3; generation++) {
    model.touchSome(generation === 0 ? 20 : 4, 16);
    model.requests = [requestsOf(5_000, 3 + generation)];
    await model.save(snapshots);
    generations.unshift(model.copy());
  }
  return { objects, generations };
}

export async function flipSnapshots(stride: number): Promise<Counts> {
  const counts = noCounts();
  const { objects, generations } = await makeSample();
  for (const name of [...objects.objects.keys()]) {
    const bits = (objects.objects.get(name)?.bytes.length ?? 0) * 8;
    for (let bit = 0; bit < bits; bit += stride) {
      counts.flips++;
      objects.flip(name, bit);
      const { snapshot, problems } = await openShard(objects).load();
      const copy = generations.find(({ image }) => image.at === snapshot?.image.at);
      try {
        if (snapshot !== undefined) await assertSame(snapshot, copy as ModelCopy);
        if (problems.length > 0) counts.detected++;
        else if (copy === generations[0]) counts.harmless++;
        else counts.wrong.push(`${name}, bit ${bit}: an older state without a word`);
      } catch (error) {
        counts.wrong.push(`${name}, bit ${bit}: ${String(error)}`);
      }
      objects.flip(name, bit);
    }
  }
  return counts;
}
