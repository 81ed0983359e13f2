/** What must hold of views that many look at: compared and encoded once, and each of them only what they may see, in order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { openMemoryKeys } from "../adapters/keys/memory.ts";
import { openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { ErrorCode } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import type { CallResult, Principal } from "../model/records.ts";
import { personal, type Sealed } from "../model/sealed.ts";
import { startNode } from "../runtime/node.ts";
import { applyPatch } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type Resume, type Subscription, WatchHub } from "./subscriptions.ts";
import type { ViewMessage } from "./view-message.ts";

const padding = "what does not change, so that a delta is smaller than the whole of it";
const banned = new Set<string>();
let reads = 0;

const board = defineEntity("board", {
  personal: true,
  state: (): { count: number; name: Sealed<string> | null; secrets: Record<string, number> } => ({
    count: 0,
    name: null,
    secrets: {},
  }),
  events: {
    added: (state) => {
      state.count++;
    },
    named: (state, event: { name: Sealed<string> }) => {
      state.name = event.name;
    },
    dealt: (state, event: { to: string }) => {
      state.secrets[event.to] = state.count;
    },
  },
  commands: (command) => ({
    add: command((_state, _input, ctx) => ctx.emit("added", {})),
    name: command(z.object({ name: z.string().transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("named", { name });
    }),
    deal: command(z.object({ to: z.string() }), (_state, { to }, ctx) => ctx.emit("dealt", { to })),
  }),
  views: {
    everybody: (state) => {
      reads++;
      return { padding, count: state.count, name: state.name };
    },
    own: (state, viewer) => ({ padding, count: state.count, secret: state.secrets[viewer.id] ?? null }),
  },
  access: (principal) => !banned.has(principal.id),
});

const key = "a";
const entity = { type: "board", key };
const user = (id: string): Principal => ({ kind: "user", id });

async function start(limits: Partial<Limits> = {}) {
  banned.clear();
  const node = await startNode({
    entities: [board],
    log: openMemoryLog({ shardCount: 1 }),
    keys: await openMemoryKeys({ random: systemRandom }),
    shardCount: 1,
    clock: systemClock,
    random: systemRandom,
    limits,
  });
  const hub = new WatchHub(node, systemClock);
  const run = (command: string, input: unknown = {}) =>
    new Promise<CallResult>((done) => {
      const requestId = makeUuidV7(systemClock.now(), systemRandom.bytes(16));
      node.execute({ entity, command, input, requestId, principal: user("admin") }, done);
    });
  return { node, hub, run, [Symbol.asyncDispose]: () => node.stop().then(() => hub.close()) };
}

/** One who follows a view and checks each message by what they hold. */
class Viewer {
  readonly messages: ViewMessage[] = [];
  version: number | undefined;
  value: Plain = null;
  end: ErrorCode | undefined;
  ready = true;
  readonly subscription: Subscription;
  #heard: () => void = () => {};

  constructor(hub: WatchHub, id: string, view: string, resume: Resume & { value?: Plain } = {}) {
    this.version = resume.from;
    this.value = resume.value ?? null;
    this.subscription = hub.subscribe({ entity, view, principal: user(id) }, resume, {
      ready: () => this.ready,
      show: (message) => this.#take(message),
      ended: (code) => {
        this.end = code;
        this.#heard();
      },
    });
  }

  async until(met: (viewer: this) => boolean): Promise<void> {
    while (!met(this)) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  #take(message: ViewMessage): void {
    this.messages.push(message);
    const { body } = message;
    if (body.t === "delta") assert.equal(body.from, this.version, "a delta follows what was sent before it");
    this.value = body.t === "delta" ? applyPatch(this.value, body.patch) : body.value;
    this.version = body.version;
    this.#heard();
  }
}

const shows = (version: number) => (viewer: Viewer) => viewer.version === version;

test("a view that is the same for everybody is computed, compared and encoded once for all who follow it", async () => {
  await using service = await start();
  const { hub, run } = service;
  const viewers = Array.from({ length: 20 }, (_, index) => new Viewer(hub, `viewer${index}`, "everybody"));
  await Promise.all(viewers.map((viewer) => viewer.until(shows(0))));
  assert.equal(hub.size, 20, "each principal has a watch, by which access is asked");
  assert.equal(hub.lines, 1);
  reads = 0;
  const { version = 0 } = (await run("add")) as { version?: number };
  await Promise.all(viewers.map((viewer) => viewer.until(shows(version))));
  assert.equal(reads, 1);
  const [first, ...others] = viewers.map((viewer) => viewer.messages.at(-1));
  assert.equal(first?.body.t, "delta");
  for (const other of others) assert.equal(other, first);
  assert.equal(first?.frame(1, "msgpack"), first?.frame(1, "msgpack"), "the bytes are the same, not alike");
  assert.equal(viewers[0]?.messages[0], viewers[19]?.messages[0], "who comes later gets the same absolute");
});

test("a right that is lost ends the subscriptions of that principal alone, before the value is shown", async () => {
  await using service = await start();
  const { hub, run } = service;
  const [ann, bob] = [new Viewer(hub, "ann", "everybody"), new Viewer(hub, "bob", "everybody")];
  await Promise.all([ann, bob].map((viewer) => viewer.until(shows(0))));
  banned.add("ann");
  const { version = 0 } = (await run("add")) as { version?: number };
  await bob.until(shows(version));
  await ann.until(({ end }) => end !== undefined);
  assert.equal(ann.end, "forbidden");
  assert.equal(ann.version, 0);
  assert.equal(hub.size, 1);
  const again = new Viewer(hub, "ann", "everybody");
  await again.until(({ end }) => end !== undefined);
  assert.deepEqual(again.messages, [], "not even what the others are shown at the moment");
});

test("different viewers who see the same share messages, and who sees something else does not", async () => {
  await using service = await start();
  const { hub, run } = service;
  const viewers = ["ann", "eve", "dan", "bob"].map((id) => new Viewer(hub, id, "own"));
  await Promise.all(viewers.map((viewer) => viewer.until(shows(0))));
  assert.equal(hub.lines, 4);
  await run("add");
  await run("deal", { to: "bob" });
  const { version = 0 } = (await run("add")) as { version?: number };
  await Promise.all(viewers.map((viewer) => viewer.until(shows(version))));
  const [ann, eve, dan, bob] = viewers.map((viewer) => viewer.messages.at(-1));
  assert.equal(ann, eve);
  assert.equal(ann, dan);
  assert.deepEqual(viewers[0]?.value, { padding, count: 2, secret: null });
  assert.deepEqual(viewers[3]?.value, { padding, count: 2, secret: 1 });
  assert.equal(bob?.body.t, "delta");
  const late = new Viewer(hub, "late", "own");
  await late.until(shows(version));
  assert.equal(late.messages[0]?.body.t, "absolute");
  assert.deepEqual(late.value, { padding, count: 2, secret: null });
});

test("whoever comes back gets the deltas while anybody follows the view, also another principal", async () => {
  await using service = await start({ watchLingerMs: 60_000 });
  const { hub, run, node } = service;
  const [ann, bob] = [new Viewer(hub, "ann", "everybody"), new Viewer(hub, "bob", "everybody")];
  await Promise.all([ann, bob].map((viewer) => viewer.until(shows(0))));
  hub.unsubscribe(ann.subscription);
  assert.equal(hub.size, 1, "no watch of a principal who left is kept while others have the deltas");
  await run("add");
  const { version = 0 } = (await run("add")) as { version?: number };
  await bob.until(shows(version));
  const back = new Viewer(hub, "ann", "everybody", { from: 0, run: node.run, value: ann.value });
  await back.until(shows(version));
  assert.deepEqual(
    back.messages.map(({ body }) => body.t),
    ["delta", "delta"],
  );
  assert.deepEqual(back.value, bob.value);
  hub.unsubscribe(bob.subscription);
  hub.unsubscribe(back.subscription);
  assert.equal(hub.size, 1, "the last one lingers");
});

test("a slow connection among many that follow a view comes back with an absolute, and costs the others nothing", async () => {
  await using service = await start();
  const { hub, run } = service;
  const [slow, quick] = [new Viewer(hub, "ann", "everybody"), new Viewer(hub, "bob", "everybody")];
  await Promise.all([slow, quick].map((viewer) => viewer.until(shows(0))));
  slow.ready = false;
  await run("add");
  const { version = 0 } = (await run("add")) as { version?: number };
  await quick.until(shows(version));
  assert.equal(quick.messages.length, 3);
  assert.equal(slow.messages.length, 1);
  slow.ready = true;
  hub.catchUp(slow.subscription);
  assert.equal(slow.messages.at(-1)?.body.t, "absolute");
  assert.deepEqual(slow.value, quick.value);
});

test("an erasure is shown to all who follow a view, and no delta of before is given to anybody any more", async () => {
  await using service = await start();
  const { hub, run, node } = service;
  await run("name", { name: "Canary of Coal Mine" });
  const [ann, bob] = [new Viewer(hub, "ann", "everybody"), new Viewer(hub, "bob", "everybody")];
  await Promise.all([ann, bob].map((viewer) => viewer.until(({ version }) => version !== undefined)));
  const from = ann.version as number;
  const { version = 0 } = (await run("add")) as { version?: number };
  await Promise.all([ann, bob].map((viewer) => viewer.until(shows(version))));
  assert.deepEqual(ann.value, { padding, count: 1, name: "Canary of Coal Mine" });
  await new Promise((done) => node.erase({ subject: entity, principal: { kind: "operator", id: "op" } }, done));
  for (const viewer of [ann, bob]) {
    await viewer.until(({ value }) => (value as { name: string | null }).name === null);
    assert.equal(viewer.version, version);
    assert.equal(viewer.messages.at(-1)?.body.t, "absolute");
  }
  const back = new Viewer(hub, "ann", "everybody", { from, run: node.run });
  assert.equal(back.messages[0]?.body.t, "absolute");
  const after = (await run("add")) as { version?: number };
  await Promise.all([ann, bob, back].map((viewer) => viewer.until(shows(after.version ?? 0))));
  assert.deepEqual(bob.value, { padding, count: 2, name: null });
  assert.equal(bob.messages.at(-1), ann.messages.at(-1));
});
