/**
 * Backups over memory: every object is checked, nothing of a store but the backup is touched, and what the service sweeps
 * or trims meanwhile is copied again. Under load and on real files: `test/backup`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock as clock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { CallResult } from "../model/records.ts";
import type { LogReader } from "../ports/log.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type BackupOptions, createBackup } from "./backup.ts";
import { BackupArea, listBackups } from "./backup-area.ts";
import { restoreBackup } from "./backup-restore.ts";
import { readBackup, verifyBackup } from "./backup-verify.ts";
import { startNode } from "./node.ts";

const shardCount = 3;

const counter = defineEntity("counter", {
  state: () => ({ sum: 0 }),
  events: {
    added: (state, event: { by: number }) => {
      state.sum += event.by;
    },
  },
  commands: (command) => ({
    add: command(z.object({ by: z.int() }), (_state, { by }, ctx) => {
      ctx.emit("added", { by });
    }),
  }),
  access: () => true,
});

/** A service whose stop left snapshots of all shards, with further records behind them. */
async function makeService() {
  const [store, objects] = [createMemoryStore(shardCount), new MemoryObjects()];
  const state = new MemoryState();
  const run = async (keep: boolean, adds: number) => {
    const kept = { state: openMemoryStateStore({ state }), snapshots: openMemorySnapshots({ objects }) };
    const log = openMemoryLog({ store });
    const options = { entities: [counter], log, clock, random: systemRandom, shardCount };
    const node = await startNode({ ...options, ...(keep ? kept : {}) });
    for (let index = 0; index < adds; index++) {
      const requestId = makeUuidV7(clock.now(), systemRandom.bytes(16));
      const call = { entity: { type: "counter", key: `c${index % 9}` }, command: "add", input: { by: 1 }, requestId };
      const result = await new Promise<CallResult>((resolve) =>
        node.execute({ ...call, principal: { kind: "user", id: "ann" } }, resolve),
      );
      assert.ok(result.ok);
    }
    await node.stop();
  };
  await run(true, 30);
  await run(false, 20);
  const look = async (): Promise<LogReader> => openMemoryLog({ store });
  const from = { shardCount, snapshots: openMemorySnapshots({ objects }), look };
  const copy = new MemoryObjects();
  const to = openMemorySnapshots({ objects: copy });
  const make = (name: string, changes: Partial<BackupOptions> = {}) =>
    createBackup({ name, from, to, clock, random: systemRandom, ...changes });
  return { run, store, objects, from, copy, to, make, place: (name: string) => ({ name, from: to, clock }) };
}

async function restore(from: ReturnType<typeof openMemorySnapshots>, name: string) {
  const store = createMemoryStore(shardCount);
  const objects = new MemoryObjects();
  const makeLog = async (_count: number, begin: readonly { epoch: number; tail: number }[]) => {
    for (const [shard, { epoch, tail }] of begin.entries())
      Object.assign(store.shards[shard] ?? {}, { epoch, tail, trimmed: tail });
    return openMemoryLog({ store });
  };
  const extras: string[] = [];
  const takeExtra = async (extra: string, bytes: Uint8Array) =>
    void extras.push(`${extra}: ${Buffer.from(bytes).toString()}`);
  const to = { snapshots: openMemorySnapshots({ objects }), makeLog, takeExtra };
  const report = await restoreBackup({ name, from, clock, to });
  return { store, objects, report, extras };
}

test("a backup holds snapshots, the frames behind them and what others put in, and gives all of it back", async () => {
  const service = await makeService();
  const made = await service.make("monday", { extras: [{ name: "keys", bytes: Buffer.from("secret") }] });
  assert.deepEqual(await verifyBackup(service.place("monday")), made);
  const { store, report, extras } = await restore(service.to, "monday");
  assert.deepEqual(extras, ["keys: secret"]);
  assert.deepEqual(report.shards, made.shards);
  for (const [shard, { epoch, tail, frames }] of store.shards.entries()) {
    const original = service.store.shards[shard];
    assert.deepEqual([epoch, tail], [original?.epoch, original?.tail]);
    assert.deepEqual(frames, original?.frames.slice(-frames.length));
  }
  assert.ok(made.records > 0 && made.shards.some(({ at }) => at !== undefined));
});

test("what others put in is never left out silently by a restore", async () => {
  const service = await makeService();
  await service.make("monday", { extras: [{ name: "keys", bytes: Buffer.from("secret") }] });
  const to = { snapshots: openMemorySnapshots(), makeLog: async () => openMemoryLog({ shardCount }) };
  await assert.rejects(restoreBackup({ ...service.place("monday"), to }), { code: "invalid-configuration" });
  await assert.rejects(service.make("b", { extras: [{ name: "../keys", bytes: Buffer.from("") }] }), {
    code: "invalid-input",
  });
});

test("one turned bit in any object is found by verifying, and nothing is restored from it", async () => {
  const service = await makeService();
  await service.make("monday");
  for (const name of [...service.copy.objects.keys()]) {
    service.copy.flip(name, 70);
    await assert.rejects(verifyBackup(service.place("monday")), { code: "snapshot-damaged" }, name);
    await assert.rejects(restore(service.to, "monday"), { code: "snapshot-damaged" }, name);
    service.copy.flip(name, 70);
  }
  await verifyBackup(service.place("monday"));
});

test("backups of one store do not know each other, and none minds what else is there", async () => {
  const service = await makeService();
  const others = ["shards/0/archive/1-9-0", "shards/0/head", "keys/1"];
  for (const name of others) service.copy.write(name, Buffer.from("of others"));
  await service.make("monday");
  await service.make("tuesday");
  service.copy.write("backups/broken/objects/00", Buffer.from("not finished"));
  assert.deepEqual(await listBackups(service.to), [
    { name: "broken", finished: false },
    { name: "monday", finished: true },
    { name: "tuesday", finished: true },
  ]);
  for (const name of ["monday", "broken"]) await new BackupArea({ store: service.to, name, clock }).remove();
  assert.deepEqual(await listBackups(service.to), [{ name: "tuesday", finished: true }]);
  await verifyBackup(service.place("tuesday"));
  await assert.rejects(readBackup(service.place("monday")), { code: "invalid-configuration" });
  for (const name of others) assert.ok(service.copy.objects.has(name));
});

test("a name is taken once, and says nothing but a name", async () => {
  const service = await makeService();
  await service.make("monday");
  await assert.rejects(service.make("monday"), { code: "invalid-configuration" });
  for (const name of ["", "../up", "a/b", "A", ".hidden", "end.", "x".repeat(65)])
    await assert.rejects(service.make(name), { code: "invalid-input" }, name);
});

test("of two backups under one name at the same time one is made, and it is whole", async () => {
  const service = await makeService();
  const results = await Promise.allSettled([service.make("monday"), service.make("monday")]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  await verifyBackup(service.place("monday"));
});

test("what the service sweeps and trims meanwhile is copied again, newer, and nothing superfluous is kept", async () => {
  const service = await makeService();
  const seen = new MemoryObjects();
  const take = () => {
    seen.objects.clear();
    for (const [name, { bytes }] of service.objects.objects) seen.write(name, bytes);
  };
  take();
  const older = Math.max(...(await service.make("older")).shards.map(({ at }) => at ?? 0));
  let looks = 0;
  const look = async () => {
    if (++looks === 1) {
      await service.run(true, 30); // stops with snapshots of everything
      take();
      for (const shard of service.store.shards) {
        shard.frames.splice(0, shard.frames.length - 1);
        shard.trimmed = shard.frames[0]?.at ?? shard.tail;
      }
    }
    return openMemoryLog({ store: service.store });
  };
  const from = { shardCount, snapshots: openMemorySnapshots({ objects: seen }), look };
  const made = await service.make("monday", { from });
  assert.ok(looks > 1 && made.shards.every(({ at, tail }) => at === tail && at > older));
  const kept = [...service.copy.objects.keys()].filter((name) => name.startsWith("backups/monday/objects/"));
  assert.equal(kept.length, made.objects);
  await restore(service.to, "monday");
});

test("a shard whose log was trimmed and none of whose snapshots verifies cannot be backed up", async () => {
  const service = await makeService();
  for (const name of [...service.objects.objects.keys()].filter((one) => one.includes("/objects/")))
    service.objects.flip(name, 300);
  const made = await service.make("whole-log");
  assert.ok(made.shards.every(({ at }) => at === undefined));
  for (const shard of service.store.shards) shard.trimmed = shard.frames.at(-1)?.at ?? 1;
  await assert.rejects(service.make("trimmed"), { code: "snapshot-damaged" });
  assert.deepEqual(await listBackups(service.to), [{ name: "whole-log", finished: true }]);
});
