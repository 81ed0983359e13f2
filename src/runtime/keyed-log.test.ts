/** Keys before records: what a node does while its key store has no space, and with a key store that is not its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { MemoryKeys, openMemoryKeys } from "../adapters/keys/memory.ts";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { CallResult, Principal } from "../model/records.ts";
import { personal, type Sealed } from "../model/sealed.ts";
import type { KeyStore } from "../ports/key-store.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const person = defineEntity("person", {
  personal: true,
  state: () => ({ name: null as Sealed<string> | null }),
  events: {
    named: (state, event: { name: Sealed<string> }) => {
      state.name = event.name;
    },
  },
  commands: (command) => ({
    name: command(z.object({ name: z.string().transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("named", { name });
    }),
  }),
  queries: { name: (state) => state.name, isNamed: (state) => state.name !== null },
  views: { name: (state) => state.name },
  access: () => true,
});

const entity = { type: "person", key: "ann" } as const;
const principal: Principal = { kind: "user", id: "ann" };

const name = (node: HoldfastNode, text: string) =>
  new Promise<CallResult>((done) => {
    const requestId = makeUuidV7(systemClock.now(), systemRandom.bytes(16));
    node.execute({ entity, command: "name", input: { name: text }, requestId, principal }, done);
  });
const query = (node: HoldfastNode, of: string) =>
  new Promise<CallResult>((done) => node.query({ entity, query: of, input: undefined, principal }, done));

/** A key store whose syncs do what the test says. */
function withSync(memory: KeyStore, sync: () => Promise<void>): KeyStore {
  return {
    current: (subject) => memory.current(subject),
    find: (subject, generation) => memory.find(subject, generation),
    get dirty() {
      return memory.dirty;
    },
    sync,
    erase: (subject, asked) => memory.erase(subject, asked),
    unmarked: () => memory.unmarked(),
    marked: (erasure) => memory.marked(erasure),
    export: () => memory.export(),
    import: (bytes) => memory.import(bytes),
    close: () => memory.close(),
  };
}

test("no record is in the log before the keys of what it holds are durable", async () => {
  const store = createMemoryStore(1);
  const memory = await openMemoryKeys({ random: systemRandom });
  let release = (): void => {};
  const asked = new Promise<void>((tell) => {
    release = tell;
  });
  let begun = (): void => {};
  const begins = new Promise<void>((tell) => {
    begun = tell;
  });
  const keys = withSync(memory, async () => {
    begun();
    await asked;
    await memory.sync();
  });
  const options = { entities: [person], shardCount: 1, clock: systemClock, random: systemRandom };
  const node = await startNode({ ...options, log: openMemoryLog({ store }), keys });
  const tail = store.shards[0]?.tail as number;
  const named = name(node, "Ann");
  await begins;
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(store.shards[0]?.tail, tail);
  release();
  assert.ok((await named).ok);
  assert.equal(store.shards[0]?.tail, tail + 1);
  await node.stop();
});

test("while the key store has no space nothing is recorded, callers are told disk-full, and it goes on by itself", async () => {
  const store = createMemoryStore(1);
  const memory = await openMemoryKeys({ random: systemRandom });
  let full = true;
  const keys = withSync(memory, () =>
    full ? Promise.reject(new HoldfastError("disk-full", "no space")) : memory.sync(),
  );
  const log = openMemoryLog({ store });
  const options = { entities: [person], shardCount: 1, clock: systemClock, random: systemRandom };
  const node = await startNode({ ...options, log, keys });
  const tail = store.shards[0]?.tail;
  const refused = await name(node, "Ann");
  assert.equal(refused.ok ? "" : refused.code, "disk-full");
  assert.equal(store.shards[0]?.tail, tail, "no record without its key");
  full = false;
  for (;;) {
    const result = await name(node, "Ann II");
    if (result.ok) break;
    assert.equal(result.code, "disk-full");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(((await query(node, "name")) as { value?: unknown }).value, "Ann II");
  await node.stop();
});

test("with a key store that is not its own a node answers keys-damaged, and nothing reads as erased", async () => {
  const store = createMemoryStore(1);
  const options = { entities: [person], shardCount: 1, clock: systemClock, random: systemRandom };
  const own = new MemoryKeys();
  const first = await startNode({
    ...options,
    log: openMemoryLog({ store }),
    keys: await openMemoryKeys({ store: own, random: systemRandom }),
  });
  assert.ok((await name(first, "Ann")).ok);
  await first.stop();

  const other = await openMemoryKeys({ random: systemRandom });
  for (const foreign of [false, true]) {
    if (foreign) other.current("person/ann");
    const faults: unknown[] = [];
    const kept = new MemoryKeys();
    const keys = await openMemoryKeys({ store: kept, random: systemRandom });
    await keys.import(await other.export());
    const onFault = (_where: string, error: unknown) => faults.push(error);
    const node = await startNode({ ...options, log: openMemoryLog({ store }), keys, onFault });
    const answer = await query(node, "name");
    assert.equal(answer.ok ? answer.value : answer.code, "keys-damaged");
    assert.ok(isHoldfastError(faults[0]) && faults[0].code === "keys-damaged", "and it alarms");
    const news = await new Promise((done) => node.watch({ entity, view: "name", principal }, done));
    assert.deepEqual([(news as { ok: boolean }).ok, (news as { code?: string }).code], [false, "keys-damaged"]);
    assert.equal(((await query(node, "isNamed")) as { value?: unknown }).value, true, "all else is served");
    await node.stop();
  }
  const back = await startNode({
    ...options,
    log: openMemoryLog({ store }),
    keys: await openMemoryKeys({ store: own, random: systemRandom }),
  });
  assert.equal(((await query(back, "name")) as { value?: unknown }).value, "Ann");
  await back.stop();
});

test("a node with personal data does not start without a key store", async () => {
  const options = { entities: [person], shardCount: 1, clock: systemClock, random: systemRandom };
  await assert.rejects(startNode({ ...options, log: openMemoryLog({ shardCount: 1 }) }), {
    code: "invalid-configuration",
  });
});
