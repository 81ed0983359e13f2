/** That the verdict on a run finds what it seeks: each violation planted into evidence that is whole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedStep } from "./log-reader.ts";
import type { Asked } from "./record.ts";
import { type Evidence, judge } from "./verdict.ts";

const at = (offset: number) => ({ shard: 0, offset });
const register = { type: "register", key: "r" };
const purse = (key: string) => ({ type: "purse", key });

function step(offset: number, of: Pick<LoggedStep, "entity" | "command" | "cause"> & Partial<LoggedStep>): LoggedStep {
  return { ...at(offset), events: [], outcome: { ok: true, value: null }, sends: [], ...of };
}

const request = (requestId: string) => ({ kind: "request", requestId }) as const;
const event = (name: string, payload: { [name: string]: number }) => ({ name, version: 1, payload });
const ok = (value: number | boolean) => ({ ok: true, value }) as const;

/** Two writes and a read of a register; ten granted to purse a, four paid to b. The third write has no answer, and was done. */
function whole(): { asked: Asked[]; steps: LoggedStep[] } {
  const write = (offset: number, id: string, value: number) =>
    step(offset, {
      entity: register,
      command: "write",
      cause: request(id),
      events: [event("written", { value })],
      outcome: ok(value),
    });
  const took = { events: [event("took", { amount: 4 })], outcome: ok(4) };
  const send = { to: purse("b"), sequence: 1, command: "take", input: { amount: 4 } };
  const from = { kind: "send", from: purse("a"), sequence: 1 } as const;
  const steps = [
    write(1, "w1", 1),
    write(2, "w2", 2),
    write(3, "w3", 3),
    step(4, {
      entity: purse("a"),
      command: "grant",
      cause: request("g"),
      events: [event("granted", { amount: 10 })],
      outcome: ok(10),
    }),
    step(5, {
      entity: purse("a"),
      command: "pay",
      cause: request("p"),
      events: [event("paid", { amount: 4 })],
      outcome: ok(6),
      sends: [send],
    }),
    step(6, { entity: purse("b"), command: "take", cause: from, ...took }),
  ];
  let clock = 0;
  const asked = (entity: { type: string; key: string }, name: string, input: unknown, of: Partial<Asked>): Asked => ({
    who: "c",
    ...entity,
    name,
    input,
    requestId: undefined,
    sentMs: (of.told?.atMs ?? 0) - 0.5,
    ...of,
  });
  const told = (value: unknown, version: number) => ({ told: { kind: "ok", value, version, atMs: ++clock } }) as const;
  const history = [
    asked(register, "write", { value: 1 }, { requestId: "w1", ...told(1, 1) }),
    asked(register, "write", { value: 2 }, { requestId: "w2", ...told(2, 2) }),
    asked(register, "read", undefined, told(2, 2)),
    asked(register, "write", { value: 3 }, { requestId: "w3", told: { kind: "unknown", code: "x", atMs: ++clock } }),
    asked(purse("a"), "grant", { amount: 10 }, { requestId: "g", ...told(10, 4) }),
    asked(purse("a"), "pay", { amount: 4, to: "b" }, { requestId: "p", ...told(6, 5) }),
    asked(purse("b"), "balance", undefined, told(4, 6)),
    asked(register, "read", undefined, told(3, 3)),
  ];
  return { asked: history, steps };
}

function verdictOn(change: (evidence: ReturnType<typeof whole>) => void, shown?: readonly number[]): readonly string[] {
  const evidence = whole();
  change(evidence);
  return judge(evidenceOf(evidence, shown)).violations;
}

function evidenceOf({ asked, steps }: ReturnType<typeof whole>, versions: readonly number[] = [0, 1, 2, 3]): Evidence {
  const shown = versions.map((version) => ({ who: "c", ...register, version }));
  return { asked, shown, log: { steps, claims: 0, problems: [] } };
}

test("evidence that is whole has no violation, whatever became of commands without an answer", () => {
  assert.deepEqual(
    verdictOn(() => {}),
    [],
  );
  const { acknowledged, unknown, queries, inFlight } = judge(evidenceOf(whole()));
  assert.deepEqual(
    { acknowledged, unknown, queries, inFlight },
    { acknowledged: 4, unknown: 1, queries: 3, inFlight: 0 },
  );
  const never = verdictOn(
    ({ asked, steps }) => {
      steps.splice(2, 1);
      asked.pop();
    },
    [1, 2],
  );
  assert.deepEqual(never, []);
});

test("the verdict finds what was lost, doubled, answered otherwise, or done though it was refused", () => {
  const found = (change: Parameters<typeof verdictOn>[0], what: RegExp) =>
    assert.match(verdictOn(change).join("\n"), what);
  found(({ steps }) => void steps.splice(1, 1), /acknowledged, and lost: c write/);
  found(({ steps }) => void steps.push({ ...(steps[0] as LoggedStep), ...at(7) }), /carried out twice/);
  found(({ steps }) => Object.assign(steps[0] as LoggedStep, { outcome: ok(9) }), /the log holds another answer/);
  found(({ steps }) => Object.assign(steps[0] as LoggedStep, at(0)), /another version than the log's/);
  const refused = { kind: "not-run", code: "unavailable", atMs: 1 } as const;
  found(({ asked }) => Object.assign(asked[0] as Asked, { told: refused }), /told that it was not/);
});

test("the verdict finds a stale read by time, and by the search where no version tells", () => {
  const stale = (version: number) =>
    verdictOn(({ asked }) => {
      const told = { kind: "ok", value: 1, version, atMs: 3 } as const;
      Object.assign(asked[2] as Asked, { told });
    }).join("\n");
  assert.match(stale(1), /an answer that is older than one before it/);
  assert.match(stale(2), /no order fits/);
});

test("the verdict finds a view that is not in the log, and one that goes back", () => {
  const found = (versions: readonly number[]) => judge(evidenceOf(whole(), versions)).violations.join();
  assert.match(found([1, 9]), /was shown register\/r 9, which is not in the log/);
  assert.match(found([1, 4]), /which is not in the log/, "another entity's version");
  assert.match(found([2, 1]), /was shown register\/r 1 after version 2/);
});

test("the verdict finds payments that were taken twice, lost or changed, and counts those under way", () => {
  const again = verdictOn(({ steps }) => void steps.push({ ...(steps[5] as LoggedStep), ...at(7) })).join("\n");
  assert.match(again, /a payment was taken twice/);
  assert.match(again, /held and 0 under way/);
  const more = { events: [event("took", { amount: 5 })] };
  assert.match(verdictOn(({ steps }) => Object.assign(steps[5] as LoggedStep, more)).join(), /taken and not sent so/);
  const open = whole();
  open.steps.pop();
  open.asked.splice(6, 1);
  const { violations, inFlight } = judge(evidenceOf(open));
  assert.deepEqual({ violations, inFlight }, { violations: [], inFlight: 4 });
});
