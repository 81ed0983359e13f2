/**
 * Keys in backups, over memory: read after the cut, changed by erasures that are cut short at every step or run at the same
 * time, and missed where something needs them. On real files, with killed processes: `test/erasure/backup.test.ts`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { openMemoryKeys } from "../adapters/keys/memory.ts";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryObjects, type MemorySnapshotHooks, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock as clock } from "../adapters/system/clock.ts";
import { systemRandom as random } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { CallResult } from "../model/records.ts";
import { personal, type Sealed } from "../model/sealed.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { LogReader } from "../ports/log.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { exportErasedBy, exportWithout } from "../wire/keys.ts";
import { createBackup } from "./backup.ts";
import { BackupArea, listBackups } from "./backup-area.ts";
import { changeAllKeys, changeKeys } from "./backup-erase.ts";
import { verifyBackup } from "./backup-verify.ts";
import { startNode } from "./node.ts";

const people = ["person/ann", "person/bob", "person/cem"];
const asked = { principal: { kind: "operator", id: "olga" }, atMs: 1_000 };

const person = defineEntity("person", {
  personal: true,
  state: () => ({ name: null as Sealed<string> | null }),
  events: {
    named: (state, event: { name: Sealed<string> }) => {
      state.name = event.name;
    },
  },
  commands: (command) => ({
    name: command(z.object({ name: z.string().transform(personal) }), (_state, input, ctx) => ctx.emit("named", input)),
  }),
  access: () => true,
});

const note = defineEntity("note", {
  state: () => ({ text: "" }),
  events: {
    wrote: (state, event: { text: string }) => {
      state.text = event.text;
    },
  },
  commands: (command) => ({
    write: command(z.object({ text: z.string() }), (_state, input, ctx) => ctx.emit("wrote", input)),
  }),
  access: () => true,
});

interface Wanted {
  readonly key: string;
  readonly type: "person" | "note";
  readonly input: Readonly<Record<string, string>>;
}

/** A service that carried these out. With `kept`, they are in snapshots and no longer in the log. */
async function makeService(wanted: readonly Wanted[], options: { readonly kept: boolean; readonly keys: KeyStore }) {
  const [store, objects] = [createMemoryStore(1), new MemoryObjects()];
  const snapshots = openMemorySnapshots({ objects });
  const kept = options.kept ? { state: openMemoryStateStore({ state: new MemoryState() }), snapshots } : {};
  // the node closes the store that it is given, and the test goes on with its own
  const keys = keysOpen(options.keys);
  const base = { entities: [person, note], log: openMemoryLog({ store }), clock, random, shardCount: 1 };
  const node = await startNode({ ...base, keys, ...kept });
  for (const { type, key, input } of wanted) {
    const requestId = makeUuidV7(clock.now(), random.bytes(16));
    const call = { entity: { type, key }, command: type === "person" ? "name" : "write", input, requestId };
    const result = await new Promise<CallResult>((resolve) =>
      node.execute({ ...call, principal: { kind: "user", id: "ann" } }, resolve),
    );
    assert.ok(result.ok);
  }
  await node.stop();
  const look = async (): Promise<LogReader> => openMemoryLog({ store });
  return { shardCount: 1, snapshots: options.kept ? snapshots : undefined, look, store };
}

function keysOpen(keys: KeyStore): KeyStore {
  return {
    current: (subject) => keys.current(subject),
    find: (subject, generation) => keys.find(subject, generation),
    get dirty() {
      return keys.dirty;
    },
    sync: () => keys.sync(),
    erase: (subject, by) => keys.erase(subject, by),
    unmarked: () => keys.unmarked(),
    marked: (erasure) => keys.marked(erasure),
    export: () => keys.export(),
    import: (bytes) => keys.import(bytes),
    close: async () => {},
  };
}

const named = people.map((one): Wanted => ({ type: "person", key: one.slice(7), input: { name: one } }));

/** Two backups, and the keys of the people that are in them. */
async function makeBackups() {
  const keys = await openMemoryKeys({ random });
  const from = await makeService(named, { kept: true, keys });
  const objects = new MemoryObjects();
  const to = openMemorySnapshots({ objects });
  for (const name of ["monday", "tuesday"])
    await createBackup({ name, from, to, clock, random, extras: [{ name: "keys", bytes: () => keys.export() }] });
  const bytesOf = new Map(people.map((one) => [one, Buffer.from(keys.current(one).key)]));
  return { objects, keys, bytesOf };
}

const eraseIn = (objects: MemoryObjects, subject: string, hooks: MemorySnapshotHooks = {}) =>
  changeAllKeys({
    from: openMemorySnapshots({ objects, hooks }),
    clock,
    random,
    change: (keys) => exportWithout(keys, subject, asked),
  });

const holding = (objects: MemoryObjects, key: Buffer | undefined) =>
  [...objects.objects].filter(([, { bytes }]) => Buffer.from(bytes).includes(key as Buffer)).map(([name]) => name);

/** What a restored service would find. @returns the keys of the backup, as a store */
async function assertWhole(objects: MemoryObjects, name: string): Promise<KeyStore> {
  const from = openMemorySnapshots({ objects });
  await verifyBackup({ name, from, clock });
  const area = new BackupArea({ store: from, name, clock });
  const [extra] = (await area.read()).extras;
  const store = await openMemoryKeys({ random });
  await store.import(await area.fetchExtra(extra as NonNullable<typeof extra>));
  return store;
}

test("an erasure leaves no byte of the key in any object of any backup, and all else as it was", async () => {
  const { objects, keys, bytesOf } = await makeBackups();
  const others = [...objects.objects.keys()].filter((name) => !name.includes("-") && !name.endsWith("catalogue"));
  assert.equal(holding(objects, bytesOf.get("person/ann")).length, 2);
  const erased = await eraseIn(objects, "person/ann");
  assert.deepEqual(erased, [
    { name: "monday", outcome: "erased" },
    { name: "tuesday", outcome: "erased" },
  ]);
  assert.deepEqual(holding(objects, bytesOf.get("person/ann")), []);
  for (const name of others) assert.ok(objects.objects.has(name));
  for (const name of ["monday", "tuesday"]) {
    const store = await assertWhole(objects, name);
    assert.equal(store.find("person/ann", 1), "erased");
    assert.deepEqual(store.unmarked(), [{ subject: "person/ann", generation: 1, ...asked }], "its log will be told");
    for (const one of ["person/bob", "person/cem"]) assert.deepEqual(store.find(one, 1), keys.find(one, 1));
  }
  const before = [...objects.objects.keys()];
  const again = await eraseIn(objects, "person/ann");
  assert.deepEqual(
    again.map(({ outcome }) => outcome),
    ["nothing-to-erase", "nothing-to-erase"],
  );
  assert.deepEqual([...objects.objects.keys()], before);
});

test("an erasure that is cut short at any step leaves every backup whole, and the next one completes it", async () => {
  const { objects, bytesOf } = await makeBackups();
  let steps = 0;
  for (let last = 1; ; last++) {
    for (const moment of ["before", "after"] as const) {
      const copy = objects.copy();
      let calls = 0;
      const end = () => {
        if (++calls >= last) throw new HoldfastError("internal", "the process is killed");
      };
      const done = await eraseIn(copy, "person/ann", { [moment]: end }).catch(() => undefined);
      for (const name of ["monday", "tuesday"]) await assertWhole(copy, name);
      // what was cut short may be another one's, and its remains may hold others' keys
      if (last % 2 === 0) await eraseIn(copy, "person/bob");
      const completed = await eraseIn(copy, "person/ann");
      await eraseIn(copy, "person/bob");
      assert.ok(completed.every(({ outcome }) => outcome === "erased" || outcome === "nothing-to-erase"));
      for (const one of ["person/ann", "person/bob"])
        assert.deepEqual(holding(copy, bytesOf.get(one)), [], `${one}, ${moment} step ${last}`);
      for (const name of ["monday", "tuesday"]) await assertWhole(copy, name);
      if (done?.every(({ outcome }) => outcome === "erased") === true) steps = last;
    }
    if (steps > 0) break;
  }
  assert.ok(steps > 20, `${steps} steps`);
});

test("erasures at the same time, some of them cut short, harm no backup and all take effect", async () => {
  const { objects, bytesOf } = await makeBackups();
  for (let round = 0; round < 12; round++) {
    const copy = objects.copy();
    const hooksOf = (index: number): MemorySnapshotHooks => {
      let calls = 0;
      const lasts = index === 2 ? 1 + 3 * round : Number.POSITIVE_INFINITY;
      return {
        before: async () => {
          if (++calls >= lasts) throw new HoldfastError("internal", "the process is killed");
          for (let turns = (random.bytes(1)[0] as number) & 3; turns > 0; turns--)
            await new Promise<void>((next) => clock.defer(next));
        },
      };
    };
    const all = await Promise.allSettled(
      ["person/ann", "person/ann", "person/cem", "person/bob"].map((one, index) => eraseIn(copy, one, hooksOf(index))),
    );
    for (const [index, result] of all.entries()) {
      if (index === 2) continue;
      assert.equal(result.status, "fulfilled");
      for (const one of result.value) assert.ok(["erased", "nothing-to-erase"].includes(one.outcome), one.name);
    }
    for (const name of ["monday", "tuesday"]) await assertWhole(copy, name);
    for (const one of ["person/ann", "person/bob"]) {
      await eraseIn(copy, one);
      assert.deepEqual(holding(copy, bytesOf.get(one)), []);
    }
  }
});

test("a backup that is damaged or unfinished is told, and the others are reached", async () => {
  const { objects, bytesOf } = await makeBackups();
  objects.flip("backups/monday/catalogue", 70);
  objects.write("backups/wednesday/objects/00", Buffer.from("not finished"));
  const told = await eraseIn(objects, "person/ann");
  assert.deepEqual(
    told.map(({ name, outcome }) => [name, outcome]),
    [
      ["monday", "failed"],
      ["tuesday", "erased"],
      ["wednesday", "unfinished"],
    ],
  );
  assert.ok(holding(objects, bytesOf.get("person/ann")).every((name) => name.startsWith("backups/monday/")));
});

test("keys are read after the frames, so a backup has the key of everything in it", async () => {
  const keys = await openMemoryKeys({ random });
  const from = await makeService(named, { kept: false, keys });
  const order: string[] = [];
  const hooks = { before: ({ verb }: { readonly verb: string }) => void order.push(verb) };
  const bytes = async () => {
    order.push("keys");
    return await keys.export();
  };
  const to = openMemorySnapshots({ hooks });
  await createBackup({ name: "b", from, to, clock, random, extras: [{ name: "keys", bytes }] });
  assert.deepEqual(order.slice(0, 4), ["get", "put", "keys", "put"], "the frames, then the keys");
});

test("an export applies the erasures that a later one shows, and nothing else", async () => {
  const keys = await openMemoryKeys({ random });
  for (const one of people) keys.current(one);
  const before = await keys.export();
  assert.equal(exportErasedBy(before, await keys.export()), before);
  await keys.erase("person/ann", asked);
  await keys.erase("person/bob", asked);
  keys.current("person/bob");
  const store = await openMemoryKeys({ random });
  await store.import(exportErasedBy(before, await keys.export()));
  assert.deepEqual(
    people.slice(0, 2).map((one) => store.find(one, 1)),
    ["erased", "erased"],
  );
  assert.deepEqual(store.find("person/cem", 1), keys.find("person/cem", 1));
  assert.equal(exportErasedBy(await keys.export(), before).length, (await keys.export()).length);
});

test("what holds sealed values is not backed up without keys, be they in frames or in snapshots", async () => {
  for (const kept of [false, true]) {
    const keys = await openMemoryKeys({ random });
    const from = await makeService(named, { kept, keys });
    if (kept) for (const shard of from.store.shards) Object.assign(shard, { frames: [], trimmed: shard.tail });
    const to = openMemorySnapshots();
    const error = await createBackup({ name: "b", from, to, clock, random }).then(
      () => undefined,
      (one: unknown) => one,
    );
    assert.ok(error instanceof HoldfastError && error.code === "keys-damaged", String(error));
    assert.match(error.message, kept ? /person\/(ann|bob|cem) holds sealed values/ : /the log of shard 0 holds sealed/);
    assert.deepEqual(await listBackups(to), [{ name: "b", finished: false }]);
  }
});

test("nobody can have backups refused by writing what looks like a sealed value", async () => {
  const texts = ['{"$sealed":"person/ann.1.AAAA"}', "で$sealed person/ann.1.AAAA", "$sealed"];
  const notes = texts.map((text, index): Wanted => ({ type: "note", key: `n${index}`, input: { text } }));
  for (const kept of [false, true]) {
    const from = await makeService(notes, { kept, keys: await openMemoryKeys({ random }) });
    await createBackup({ name: "b", from, to: openMemorySnapshots(), clock, random });
  }
});

test("of two backups under one name the one that comes second leaves no keys behind", async () => {
  const keys = await openMemoryKeys({ random });
  const from = await makeService(named, { kept: true, keys });
  const objects = new MemoryObjects();
  const to = openMemorySnapshots({ objects });
  const extras = [{ name: "keys", bytes: () => keys.export() }];
  const make = () => createBackup({ name: "b", from, to, clock, random, extras });
  const results = await Promise.allSettled([make(), make()]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(holding(objects, Buffer.from(keys.current("person/ann").key)).length, 1);
  await assertWhole(objects, "b");
});

test("two extras of one name are refused, and a backup without keys is left as it is", async () => {
  const from = await makeService([], { kept: false, keys: await openMemoryKeys({ random }) });
  const to = openMemorySnapshots();
  const extras = ["keys", "keys"].map((name) => ({ name, bytes: Buffer.from("") }));
  await assert.rejects(createBackup({ name: "b", from, to, clock, random, extras }), { code: "invalid-configuration" });
  await createBackup({ name: "b", from, to, clock, random, extras: [{ name: "other", bytes: async () => undefined }] });
  const change = (bytes: Uint8Array) => bytes;
  assert.equal(await changeKeys({ name: "b", from: to, clock, random, change }), "no-keys");
});
