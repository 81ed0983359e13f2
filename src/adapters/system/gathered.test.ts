/** Gathered writes: the file is the same, in fewer writes, once it is closed. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Prng } from "../../std/prng.ts";
import { openDirectory } from "./disk.ts";
import { gatherWrites } from "./gathered.ts";
import { temporaryDirectory } from "./temporary.ts";

test("after any writes and reads a gathered file holds what one that syncs each write holds", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  for (let seed = 1; seed <= 4; seed++) {
    const prng = new Prng(seed);
    for (const name of ["synced", "gathered"]) await disk.create(name, 64 * 1024);
    const synced = await disk.open("synced");
    const gathered = await gatherWrites(disk).open("gathered");
    let position = 0;
    for (let step = 0; step < 100; step++) {
      if (prng.chance(0.1)) position = prng.integer(1_500_000);
      const bytes = prng.bytes(prng.between(1, prng.chance(0.02) ? 1_200_000 : 2_000));
      for (const file of [synced, gathered]) await file.write(bytes, position);
      position += bytes.length;
      if (!prng.chance(0.05)) continue;
      const [one, other] = [new Uint8Array(5_000), new Uint8Array(5_000)];
      const from = prng.integer(1_500_000);
      assert.equal(await gathered.read(other, from), await synced.read(one, from));
      assert.deepEqual(other, one);
    }
    await synced.close();
    await gathered.close();
    const read = (name: string) => readFileSync(join(directory.path, name));
    assert.ok(read("gathered").equals(read("synced")), `seed ${seed}`);
  }
});
