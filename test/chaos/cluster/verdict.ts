/**
 * Judges a run: what clients were told, against what the log holds, against time, and against what the entities are. Pure.
 *
 * Invariant: no violation means: every acknowledged command is in the log once, with the answer that was given; no command is there
 * twice, nor one whose client was told that it was not carried out; every history fits its versions, and those that are short enough are
 * linearizable; every send was taken once; money and chips are conserved.
 */
import { isDeepStrictEqual } from "node:util";
import { Audit } from "../../../examples/teen-patti/src/audit.ts";
import type { Operation } from "../../../src/sim/checkers/history.ts";
import { checkLinearizability, describeVerdict } from "../../../src/sim/checkers/linearizability.ts";
import { register, wallet } from "../../../src/sim/checkers/models.ts";
import { checkVersionModel, checkVersionOrder } from "../../../src/sim/checkers/version-order.ts";
import { purseInput, purseOutput, registerInput, registerOutput, type Seen } from "./histories.ts";
import type { LoggedStep, ReadLog } from "./log-reader.ts";
import type { Asked, Shown } from "./record.ts";

export interface Evidence {
  readonly asked: readonly Asked[];
  readonly shown: readonly Shown[];
  readonly log: ReadLog;
}

export interface Judgement {
  readonly violations: readonly string[];
  readonly acknowledged: number;
  readonly queries: number;
  readonly unknown: number;
  /** Told as not carried out. */
  readonly notRun: number;
  readonly steps: number;
  readonly claims: number;
  /** Histories that were searched, and those of them that took too long. */
  readonly searched: number;
  readonly undecided: number;
  /** Views that were shown. */
  readonly shown: number;
  readonly hands: number;
  /** Chips and money that were sent and not taken in. */
  readonly inFlight: number;
}

export function judge({ asked, shown, log }: Evidence): Judgement {
  const violations = [...log.problems];
  const byRequest = stepsByRequest(log.steps, violations);
  againstLog(asked, byRequest, violations);
  const search = againstModels(asked, log.steps, byRequest, violations);
  againstViews(shown, log.steps, violations);
  const audit = new Audit();
  for (const step of log.steps) audit.take(step);
  const totals = audit.totals();
  violations.push(...totals.problems);
  const money = conservation(log.steps, violations);
  const commands = asked.filter(({ requestId }) => requestId !== undefined);
  const count = (...kinds: readonly string[]) =>
    commands.filter(({ told }) => kinds.includes(told?.kind ?? "unknown")).length;
  return {
    violations,
    acknowledged: count("ok", "rejected"),
    queries: asked.filter(({ requestId, told }) => requestId === undefined && told?.kind === "ok").length,
    unknown: count("unknown"),
    notRun: count("not-run"),
    steps: log.steps.length,
    claims: log.claims,
    ...search,
    shown: shown.length,
    hands: totals.hands,
    inFlight: totals.inFlight + money,
  };
}

type Steps = ReadonlyMap<string, LoggedStep>;

function stepsByRequest(steps: readonly LoggedStep[], violations: string[]): Steps {
  const byRequest = new Map<string, LoggedStep>();
  for (const step of steps) {
    if (step.cause.kind !== "request") continue;
    const before = byRequest.get(step.cause.requestId);
    if (before !== undefined) violations.push(`carried out twice: ${nameOf(before)} and ${nameOf(step)}`);
    byRequest.set(step.cause.requestId, step);
  }
  return byRequest;
}

function nameOf({ entity, command, shard, offset }: LoggedStep): string {
  return `${command} of ${entity.type}/${entity.key} at ${shard}:${offset}`;
}

function againstLog(asked: readonly Asked[], byRequest: Steps, violations: string[]): void {
  for (const one of asked) {
    if (one.requestId === undefined || one.told === undefined || one.told.kind === "unknown") continue;
    const step = byRequest.get(one.requestId);
    const problem = problemOf(one.told, step, modelled.has(one.type));
    if (problem !== undefined) violations.push(`${problem}: ${describe(one)}, ${JSON.stringify(step?.outcome)}`);
  }
}

function describe({ who, type, key, name, input, requestId, told }: Asked): string {
  return `${who} ${name} ${JSON.stringify(input)} of ${type}/${key} (${requestId}), told ${JSON.stringify(told)}`;
}

/** Types whose answers are compared; those of the game may hold a name, which is sealed in the log. */
const modelled: ReadonlySet<string> = new Set(["register", "purse"]);

function problemOf(
  told: NonNullable<Asked["told"]>,
  step: LoggedStep | undefined,
  comparesValue: boolean,
): string | undefined {
  if (told.kind === "not-run") return step === undefined ? undefined : "carried out, and told that it was not";
  if (step === undefined) return "acknowledged, and lost";
  const { outcome, events, offset } = step;
  if (told.kind === "rejected") {
    return !outcome.ok && outcome.reason === told.reason ? undefined : "refused, and the log says otherwise";
  }
  if (told.kind !== "ok") return undefined;
  if (!outcome.ok || (comparesValue && !isDeepStrictEqual(outcome.value, told.value)))
    return "the log holds another answer";
  return events.length > 0 && told.version !== offset ? "answered with another version than the log's" : undefined;
}

/** Nobody is shown a state that is not in the log, nor one that is older than what the same watch showed. */
function againstViews(shown: readonly Shown[], steps: readonly LoggedStep[], violations: string[]): void {
  const made = new Set<string>();
  for (const { entity, events, offset } of steps)
    if (events.length > 0) made.add(`${entity.type}/${entity.key} ${offset}`);
  const newest = new Map<string, number>();
  for (const { who, type, key, version } of shown) {
    const name = `${type}/${key} ${version}`;
    if (version > 0 && !made.has(name)) violations.push(`${who} was shown ${name}, which is not in the log`);
    const watch = `${who} ${type}/${key}`;
    const before = newest.get(watch) ?? 0;
    if (version < before) violations.push(`${who} was shown ${name} after version ${before}`);
    newest.set(watch, Math.max(before, version));
  }
}

type Search = Pick<Judgement, "searched" | "undecided">;

function againstModels(
  asked: readonly Asked[],
  steps: readonly LoggedStep[],
  byRequest: Steps,
  violations: string[],
): Search {
  const found = { searched: 0, undecided: 0 };
  const registers = { type: "register", inputOf: registerInput, outputOf: registerOutput };
  const purses = { type: "purse", inputOf: purseInput, outputOf: purseOutput };
  for (const [key, history] of historiesOf(asked, registers)) {
    found.searched += 1;
    const verdict = checkLinearizability(history, register);
    if (verdict.kind === "undecided") found.undecided += 1;
    if (verdict.kind === "violation") violations.push(`register/${key}: ${describeVerdict(verdict, history)}`);
  }
  for (const [key, history] of historiesOf(asked, registers, { byRequest, steps }))
    for (const problem of [...checkVersionOrder(history), ...checkVersionModel(history, register)])
      violations.push(`register/${key}: ${problem}`);
  for (const [key, history] of historiesOf(asked, purses, { byRequest, steps }))
    for (const problem of [...checkVersionOrder(history), ...checkVersionModel(history, wallet)])
      violations.push(`purse/${key}: ${problem}`);
  for (const [name, history] of gameHistories(asked, byRequest))
    for (const problem of checkVersionOrder(history)) violations.push(`${name}: ${problem}`);
  return found;
}

/** What bots were told, by entity. Nothing is known of it here but versions, and from the log which commands made one. */
function gameHistories(asked: readonly Asked[], byRequest: Steps): Map<string, Operation<string, null>[]> {
  const histories = new Map<string, Operation<string, null>[]>();
  for (const { who, type, key, name, requestId, sentMs, told } of asked) {
    if (modelled.has(type) || (told?.kind !== "ok" && told?.kind !== "rejected")) continue;
    const step = requestId === undefined ? undefined : byRequest.get(requestId);
    const { atMs: at, version } = told;
    const changed = step !== undefined && step.events.length > 0;
    const entity = `${type}/${key}`;
    const operation = { who, input: name, sent: sentMs, answer: { at, output: null, version, changed } };
    const history = histories.get(entity);
    if (history === undefined) histories.set(entity, [operation]);
    else history.push(operation);
  }
  return histories;
}

interface Reading<Input, Output> {
  readonly type: string;
  readonly inputOf: (name: string, input: unknown) => Input;
  readonly outputOf: (seen: Seen) => { readonly output: Output; readonly changed: boolean };
}

/** Histories by key. With the log, what nobody was told comes from there, with its version. */
function historiesOf<Input, Output>(
  asked: readonly Asked[],
  { type, inputOf, outputOf }: Reading<Input, Output>,
  log?: { readonly byRequest: Steps; readonly steps: readonly LoggedStep[] },
): Map<string, Operation<Input, Output>[]> {
  const histories = new Map<string, Operation<Input, Output>[]>();
  const add = (key: string, operation: Operation<Input, Output>) => {
    const history = histories.get(key);
    if (history === undefined) histories.set(key, [operation]);
    else history.push(operation);
  };
  const logged = (step: LoggedStep): Operation<Input, Output>["answer"] => {
    const version = step.events.length > 0 ? step.offset : undefined;
    const kind = step.outcome.ok ? "ok" : "rejected";
    const value = step.outcome.ok ? step.outcome.value : undefined;
    return { at: Number.POSITIVE_INFINITY, version, ...outputOf({ name: step.command, kind, value }) };
  };
  for (const { who, type: of, key, name, input, requestId, sentMs, told } of asked) {
    if (of !== type || told?.kind === "not-run") continue;
    const operation = { who, input: inputOf(name, input), sent: sentMs };
    if (told?.kind === "ok" || told?.kind === "rejected") {
      const value = told.kind === "ok" ? told.value : undefined;
      const { version, atMs: at } = told;
      add(key, { ...operation, answer: { at, version, ...outputOf({ name, kind: told.kind, value }) } });
    } else if (requestId !== undefined) {
      const step = log?.byRequest.get(requestId);
      if (log === undefined || step !== undefined)
        add(key, { ...operation, answer: step === undefined ? undefined : logged(step) });
    }
  }
  for (const step of log?.steps ?? []) {
    if (step.entity.type !== type || step.cause.kind !== "send") continue;
    const input = inputOf(step.command, step.events[0]?.payload);
    const who = `${step.cause.from.type}/${step.cause.from.key}`;
    add(step.entity.key, { who, input, sent: Number.NEGATIVE_INFINITY, answer: logged(step) });
  }
  return histories;
}

/** Every payment is taken once, in order, and settled once. @returns what is still under way */
function conservation(steps: readonly LoggedStep[], violations: string[]): number {
  const sums = { granted: 0, spent: 0, held: 0 };
  const sent = new Map<string, number>();
  const taken = new Map<string, number>();
  const amountIn = (payload: unknown) => Number((payload as { amount?: number } | null)?.amount ?? 0);
  for (const step of steps) {
    if (step.entity.type !== "purse") continue;
    const own = `${step.entity.key}`;
    for (const send of step.sends) sent.set(`${own} > ${send.to.key} ${send.sequence}`, amountIn(send.input));
    for (const { name, payload } of step.events) {
      const amount = amountIn(payload);
      if (name === "granted") sums.granted += amount;
      if (name === "spent") sums.spent += amount;
      sums.held += name === "granted" || name === "took" ? amount : -amount;
    }
    if (step.cause.kind !== "send") continue;
    const name = `${step.cause.from.key} > ${own} ${step.cause.sequence}`;
    if (taken.has(name)) violations.push(`a payment was taken twice: ${name}`);
    taken.set(name, amountIn(step.events[0]?.payload));
  }
  for (const [name, amount] of taken)
    if (sent.get(name) !== amount) violations.push(`taken and not sent so: ${name}, ${amount}, ${sent.get(name)}`);
  const open = [...sent].filter(([name]) => !taken.has(name)).reduce((sum, [, amount]) => sum + amount, 0);
  if (sums.held + open !== sums.granted - sums.spent)
    violations.push(`${sums.held} held and ${open} under way, of ${sums.granted} granted and ${sums.spent} spent`);
  return open;
}
