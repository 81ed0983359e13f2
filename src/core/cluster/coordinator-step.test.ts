/** A coordinator, input by input: what comes late, twice, out of order or not at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeRef, ShardReport, ShardTarget } from "../../model/cluster.ts";
import { stepCoordinator } from "./coordinator.ts";
import {
  type AssignmentChange,
  type CoordinatorEffect,
  type CoordinatorOptions,
  coordinatorDefault,
  makeCoordinator,
  type OperatorVerb,
} from "./coordinator-state.ts";

const [a, b, c] = ["a", "b", "c"].map((node, index) => ({ node, generation: index + 1 })) as [
  NodeRef,
  NodeRef,
  NodeRef,
];

type Row = readonly [shard: number, role: ShardReport["role"], epoch: number];

/** One coordinator, on node `a`, whose effects nobody performs. */
class Stepped {
  readonly state;
  nowMs = 0;

  constructor(options: Partial<CoordinatorOptions> = {}) {
    this.state = makeCoordinator({ ...coordinatorDefault, self: a, shardCount: 1, ...options });
  }

  picture(version: number, targets: readonly ShardTarget[], members: readonly NodeRef[] = [a, b, c], lapsed?: NodeRef) {
    return this.#step({
      kind: "picture",
      picture: {
        version,
        members: members.map((ref) => ({ ...ref, info: { peer: ref.node }, leftMs: ref === lapsed ? 0 : 1_000 })),
        assignments: targets.map((target, shard) => ({ shard, version, target })),
      },
    });
  }

  report(from: NodeRef, rows: readonly Row[], unreachable: readonly NodeRef[] = []) {
    const shards = rows.map(([shard, role, epoch]) => ({ shard, role, epoch, tail: 10, load: 0 }));
    return this.#step({ kind: "report", report: { from, shards, unreachable } });
  }

  tick(ms = 100) {
    this.nowMs += ms;
    return this.#step({ kind: "tick" });
  }

  verb(verb: OperatorVerb) {
    return this.#step({ kind: "verb", verb, caller: verb });
  }

  assigned(change: AssignmentChange, version: number | "stale") {
    const outcome = version === "stale" ? ({ ok: false, reason: "stale" } as const) : ({ ok: true, version } as const);
    return this.#step({ kind: "assigned", outcomes: [{ change, outcome }] });
  }

  #step(input: object): {
    readonly changes: readonly AssignmentChange[];
    readonly effects: readonly CoordinatorEffect[];
  } {
    const effects: CoordinatorEffect[] = [];
    stepCoordinator(this.state, { nowMs: this.nowMs, ...input } as Parameters<typeof stepCoordinator>[1], effects);
    return { effects, changes: effects.flatMap((effect) => (effect.kind === "assign" ? effect.changes : [])) };
  }
}

const owned: ShardTarget = { owner: b, standbys: [c] };

/** `b` owns the one shard in epoch 5, `c` follows and is ready, and the coordinator knows it. */
function calm(options: Partial<CoordinatorOptions> = {}): Stepped {
  const stepped = new Stepped(options);
  stepped.picture(1, [owned]);
  for (const { changes } of [
    stepped.report(a, []),
    stepped.report(b, [[0, "owner", 5]]),
    stepped.report(c, [[0, "standby", 5]]),
    stepped.tick(),
  ])
    assert.deepEqual(changes, []);
  return stepped;
}

test("a claim below the highest epoch that anybody has reported changes nothing", () => {
  const stepped = calm();
  stepped.report(c, [[0, "standby", 7]]);
  assert.deepEqual(stepped.report(a, [[0, "owner", 6]]).changes, []);
  assert.deepEqual(stepped.tick().changes, []);
  assert.deepEqual(stepped.report(a, [[0, "owner", 8]]).changes[0]?.target, { owner: a, standbys: [b, c].slice(1) });
});

test("who still serves what it owned when the present owner was decided is not the owner again", () => {
  const stepped = calm();
  // somebody else decided it, and `b` has not looked yet
  const decided: ShardTarget = { owner: c, standbys: [b] };
  assert.deepEqual(stepped.picture(2, [decided]).changes, []);
  assert.deepEqual(stepped.report(b, [[0, "owner", 5]]).changes, []);
  assert.deepEqual(stepped.tick().changes, []);
});

test("who is suspected is not adopted, whatever it claims", () => {
  const stepped = calm();
  stepped.report(b, [[0, "owner", 5]], [c]);
  stepped.report(a, [], [c]);
  const { changes } = stepped.report(c, [[0, "owner", 6]]);
  assert.deepEqual(changes, []);
  assert.ok(stepped.tick().changes.every(({ target }) => target.owner?.node !== "c"));
});

test("the target of a move is the owner when it serves; the former one follows", () => {
  const stepped = calm();
  stepped.picture(2, [{ ...owned, to: a }]);
  stepped.report(a, [[0, "standby", 5]]);
  // neither its being ready nor the former's end moves anything
  assert.deepEqual(stepped.report(b, [[0, "standby", 5]]).changes, []);
  const [change] = stepped.report(a, [[0, "owner", 6]]).changes;
  assert.equal(change?.expected, 2);
  assert.deepEqual(change?.target.owner, a);
  assert.equal(change?.target.to, undefined);
  assert.deepEqual(change?.target.standbys, [c]);
});

test("the former owner of a move is its standby if there is no other", () => {
  const stepped = new Stepped();
  stepped.picture(1, [{ owner: b, standbys: [], to: a }], [a, b]);
  stepped.report(b, [[0, "standby", 6]]);
  const [change] = stepped.report(a, [[0, "owner", 6]]).changes;
  assert.deepEqual(change?.target, { owner: a, standbys: [b] });
});

test("one change of a shard is under way at a time", () => {
  const stepped = calm();
  const [change] = stepped.verb({ kind: "pin", shards: [0], to: "c" }).changes;
  assert.equal(change?.expected, 1);
  assert.deepEqual(stepped.verb({ kind: "pin", shards: [0], to: "b" }).changes, []);
  assert.deepEqual(stepped.tick().changes, []);
  const [next] = stepped.assigned(change as AssignmentChange, 2).changes;
  assert.deepEqual([next?.expected, next?.target.pin], [2, "b"]);
});

test("after a change that was stale nothing is changed until a picture tells what there is", () => {
  const stepped = calm();
  const [change] = stepped.verb({ kind: "pin", shards: [0], to: "c" }).changes;
  assert.deepEqual(stepped.assigned(change as AssignmentChange, "stale").changes, []);
  assert.deepEqual(stepped.tick().changes, []);
  const [next] = stepped.picture(2, [{ ...owned, pin: "b" }]).changes;
  assert.deepEqual([next?.expected, next?.target.pin], [2, "c"]);
});

test("an answer that comes after the picture that told it does not end the change that came after", () => {
  const stepped = calm();
  const [first] = stepped.verb({ kind: "pin", shards: [0], to: "c" }).changes;
  stepped.picture(2, [(first as AssignmentChange).target]);
  const [second] = stepped.verb({ kind: "pin", shards: [0], to: undefined }).changes;
  assert.equal(second?.expected, 2);
  assert.deepEqual(stepped.assigned(first as AssignmentChange, 2).changes, []);
  assert.deepEqual(stepped.tick().changes, []);
});

test("a verb is not answered by what stands while a change of it is under way", () => {
  const stepped = calm();
  stepped.verb({ kind: "pin", shards: [0], to: "c" });
  // no pin stands, but one is on its way
  const { effects } = stepped.verb({ kind: "pin", shards: [0], to: undefined });
  assert.deepEqual(
    effects.map((effect) => effect.kind === "answer" && effect.failure?.code),
    ["unavailable"],
  );
});

test("a lease that has lapsed does not come back with a picture that was looked at before", () => {
  const stepped = new Stepped({ shardCount: 6 });
  const targets = [0, 1, 2, 3, 4, 5].map(
    (shard): ShardTarget => (shard < 3 ? { owner: a, standbys: [b] } : { owner: b, standbys: [a] }),
  );
  const rows = (from: number): Row[] =>
    targets.map((_, shard) => [shard, shard < 3 === (from === 0) ? "owner" : "standby", 1]);
  const report = (): void => {
    stepped.report(a, rows(0));
    stepped.report(b, rows(1));
  };
  stepped.picture(1, targets, [a, b, c], c);
  report();
  assert.deepEqual(stepped.picture(1, targets).changes, []);
  assert.deepEqual(stepped.report(c, []).changes, []);
  for (let ticks = 0; ticks < 30; ticks++) {
    report();
    assert.deepEqual(stepped.tick().changes, []);
  }
});

test("a new coordinator waits for reports before it moves, and not for ever", () => {
  const stepped = new Stepped({ shardCount: 4 });
  const targets = [a, a, b, b].map((owner): ShardTarget => ({ owner, standbys: [owner === a ? b : a] }));
  const dead: ShardTarget = { owner: { node: "x", generation: 9 }, standbys: [b] };
  // a shard without an owner does not wait
  const first = stepped.picture(1, [dead, ...targets.slice(1)]).changes;
  assert.deepEqual(
    first.map(({ shard }) => shard),
    [0],
  );
  assert.deepEqual(first[0]?.target.owner, b);
  stepped.report(a, [[1, "owner", 1]]);
  const rows: Row[] = [
    [2, "owner", 1],
    [3, "owner", 1],
  ];
  stepped.report(b, rows);
  assert.deepEqual(stepped.tick().changes, []);
  const { settleMs } = stepped.state.options;
  stepped.nowMs += settleMs;
  // `c` says nothing, but it is a member: it gets its share
  assert.ok(stepped.tick().changes.some(({ target }) => target.to?.node === "c"));
});

test("what a rested node owns is not taken by another suspicion, until it has rested", () => {
  const stepped = new Stepped({ shardCount: 2 });
  const targets: ShardTarget[] = [
    { owner: b, standbys: [c] },
    { owner: b, standbys: [c] },
  ];
  stepped.picture(1, targets);
  const lost = (ready: readonly Row[]): void => {
    stepped.report(a, [], [b]);
    stepped.report(c, ready, [b]);
  };
  const back = (ready: readonly Row[]): void => {
    stepped.report(a, []);
    stepped.report(c, ready);
    stepped.report(b, [[1, "owner", 1]]);
  };
  stepped.report(b, [
    [0, "owner", 1],
    [1, "owner", 1],
  ]);
  stepped.report(a, [], [b]);
  const [change, ...others] = stepped.report(
    c,
    [
      [0, "standby", 1],
      [1, "catching-up", 1],
    ],
    [b],
  ).changes;
  assert.deepEqual([change?.shard, change?.target.owner, others.length], [0, c, 0]);
  stepped.assigned(change as AssignmentChange, 2);
  const ready: Row[] = [
    [0, "owner", 2],
    [1, "standby", 1],
  ];
  back(ready);
  stepped.tick();
  lost(ready);
  assert.ok(stepped.tick().changes.every(({ target }) => target.owner?.node === "b"));
  stepped.nowMs += stepped.state.options.suspicionRestMs;
  stepped.report(a, [], [b]);
  stepped.report(c, ready, [b]);
  assert.ok(stepped.tick().changes.some(({ shard, target }) => shard === 1 && target.owner?.node === "c"));
});

test("a node that is no member, or of another generation, is not listened to", () => {
  const stepped = calm();
  const older = { node: "c", generation: 1 };
  assert.deepEqual(stepped.report(older, [[0, "owner", 9]]).changes, []);
  assert.deepEqual(stepped.report({ node: "x", generation: 1 }, [[0, "owner", 9]], [a, b]).changes, []);
  assert.deepEqual(stepped.tick().changes, []);
  assert.equal(stepped.state.reports.size, 3);
});

test("more verbs than may wait are refused", () => {
  const stepped = calm({ verbsMax: 1 });
  stepped.verb({ kind: "pin", shards: [0], to: "c" });
  const { effects } = stepped.verb({ kind: "drain", node: "b", on: true });
  assert.deepEqual(
    effects.map((effect) => effect.kind === "answer" && effect.failure?.code),
    ["overloaded"],
  );
});
