/**
 * The simulated disk keeps what it must and loses what it may.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "./disk.harness.ts";
import { SimDisk, type SimDiskOptions } from "./disk.ts";

const immediate = (_: number, run: () => void) => void setImmediate(run);

function disk(seed: number, options: Partial<SimDiskOptions> = {}): SimDisk {
  return new SimDisk({ schedule: immediate, random: seededRandom(seed), ...options });
}

/** A disk with one synced file of `sectors` sectors of zeros. */
async function withFile(sim: SimDisk, sectors: number) {
  const process = sim.attach();
  await process.disk.create("file", sectors * 512);
  await process.disk.syncDirectory();
  return { process, file: await process.disk.open("file") };
}

/** Which sectors of the file are not zero. */
function written(sim: SimDisk): number[] {
  const content = sim.content("file");
  return Array.from({ length: content.length / 512 }, (_, sector) => sector).filter(
    (sector) => content[sector * 512] !== 0,
  );
}

describe("a write", () => {
  test("that was answered survives every crash", async () => {
    for (let seed = 0; seed < 50; seed++) {
      const sim = disk(seed);
      const { file } = await withFile(sim, 4);
      await file.write(new Uint8Array(1024).fill(1), 512);
      sim.crash();
      assert.deepEqual(written(sim), [1, 2]);
    }
  });

  test("in flight leaves any subset of its sectors, each whole", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 300; seed++) {
      const sim = disk(seed);
      const { file } = await withFile(sim, 4);
      void file.write(new Uint8Array(2048).fill(1), 0);
      sim.crash();
      const content = sim.content("file");
      for (const sector of written(sim))
        assert.ok(content.subarray(sector * 512, sector * 512 + 512).every((byte) => byte === 1));
      seen.add(written(sim).join());
    }
    assert.equal(seen.size, 16);
  });

  test("in flight when the process is killed is in the cache and may go with the power", async () => {
    let lost = 0;
    for (let seed = 0; seed < 100; seed++) {
      const sim = disk(seed);
      const { process, file } = await withFile(sim, 1);
      void file.write(new Uint8Array(512).fill(1), 0);
      process.kill();
      const shown = written(sim).length;
      sim.crash();
      if (written(sim).length < shown) lost += 1;
      assert.ok(written(sim).length <= shown);
    }
    assert.ok(lost > 5);
  });

  test("over a cached sector makes it durable", async () => {
    for (let seed = 0; seed < 30; seed++) {
      const sim = disk(seed);
      const { process, file } = await withFile(sim, 2);
      void file.write(new Uint8Array(1024).fill(1), 0);
      process.kill();
      const next = await sim.attach().disk.open("file");
      const cached = new Uint8Array(1024);
      await next.read(cached, 0);
      await next.write(cached, 0);
      sim.crash();
      assert.deepEqual(sim.content("file"), cached);
    }
  });

  test("of a dead process never settles", async () => {
    const sim = disk(1);
    const { process, file } = await withFile(sim, 1);
    let settled = false;
    const note = () => {
      settled = true;
    };
    file.write(new Uint8Array(512), 0).then(note, note);
    process.kill();
    file.write(new Uint8Array(512), 0).then(note, note);
    for (let index = 0; index < 5; index++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(settled, false);
  });
});

describe("names", () => {
  test("that were synced survive, others may not", async () => {
    const left = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const sim = disk(seed);
      const { process } = await withFile(sim, 1);
      await process.disk.rename("file", "moved");
      await process.disk.create("new", 10);
      sim.crash();
      left.add(
        sim
          .list()
          .map(({ name }) => name)
          .toSorted()
          .join(),
      );
    }
    assert.deepEqual([...left].toSorted(), ["file", "file,new", "moved", "moved,new"]);
  });

  test("are replaced whole or not at all", async () => {
    for (let seed = 0; seed < 100; seed++) {
      const sim = disk(seed);
      const { process } = await withFile(sim, 1);
      await process.disk.create("other", 1024);
      await process.disk.syncDirectory();
      await process.disk.rename("other", "file");
      sim.crash();
      assert.ok(sim.list().some(({ name }) => name === "file"));
    }
  });
});

describe("a fault", () => {
  test("of the device fails the operation and leaves some of a write in the cache", async () => {
    let broken = false;
    const sim = disk(3, { fault: ({ verb }) => (broken && verb === "write" ? "broken" : undefined) });
    const { file } = await withFile(sim, 8);
    broken = true;
    await assert.rejects(file.write(new Uint8Array(4096).fill(1), 0), { code: "log-failed" });
  });

  test("of space fails what would grow, and leaves room for what does not", async () => {
    const sim = disk(4, { capacityBytes: 2048 });
    const { process, file } = await withFile(sim, 2);
    await assert.rejects(process.disk.create("large", 4096), { code: "disk-full" });
    await file.write(new Uint8Array(1024), 0);
    sim.capacityBytes = 10_000;
    await process.disk.create("large", 4096);
  });

  test("of one bit changes one bit", async () => {
    const sim = disk(5);
    await withFile(sim, 1);
    sim.flip("file", 77);
    const content = sim.content("file");
    assert.equal(content[9], 1 << 5);
    assert.equal(
      content.reduce((sum, byte) => sum + byte, 0),
      1 << 5,
    );
  });
});

test("the lock is held by one process and goes with it", async () => {
  const sim = disk(6);
  const first = sim.attach();
  await first.disk.lock();
  const second = sim.attach();
  await assert.rejects(second.disk.lock(), { code: "directory-in-use" });
  first.kill();
  await (await second.disk.lock()).release();
  await second.disk.lock();
});

test("one seed gives one history", async () => {
  const history = async () => {
    const sim = disk(9);
    const { file } = await withFile(sim, 16);
    void file.write(new Uint8Array(8192).fill(1), 0);
    sim.crash();
    return written(sim).join();
  };
  assert.equal(await history(), await history());
});
