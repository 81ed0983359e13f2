/**
 * What the verbs print, for people.
 *
 * Invariant: keys, reasons and payloads come from callers, so nothing of them reaches the terminal except through JSON,
 * which escapes control characters.
 */
import type { EntityPast, PastRecord } from "../history/history.ts";
import { formatRef } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { CallId, Cause, StepRecord } from "../model/records.ts";
import type { PatchOperation } from "../std/patch.ts";

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One JSON document; a stream of them is one per line. */
export function printJson(value: unknown, indent = 2): void {
  print(JSON.stringify(value, undefined, indent));
}

export function time(ms: number): string {
  return new Date(ms).toISOString();
}

export function shown(value: unknown): string {
  return escapeControls(JSON.stringify(value) ?? "nothing");
}

export function pretty(value: unknown): string {
  return escapeControls(JSON.stringify(value, undefined, 2) ?? "nothing");
}

/** A message with what callers may have put into it. */
export function safe(text: string): string {
  return shown(text).slice(1, -1).replaceAll('\\"', '"');
}

/** JSON leaves DEL and the C1 controls as they are, and terminals obey those. */
function escapeControls(text: string): string {
  return text.replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

export function causeText(cause: Cause): string {
  switch (cause.kind) {
    case "request":
      return `request ${cause.requestId}`;
    case "timer":
      return `timer ${shown(cause.name)} set at ${cause.setAt}`;
    case "send":
      return `send ${cause.sequence} of ${formatRef(cause.from)}`;
    case "settled":
      return `outcome of send ${cause.sequence} to ${formatRef(cause.to)}`;
    case "called":
      return `attempt ${cause.attempt} of call ${callText(cause.call)} ended it`;
    case "call-failed":
      return `attempt ${cause.attempt} of call ${callText(cause.call)} failed: ${shown(cause.error)}`;
    case "call-retried":
      return `call ${callText(cause.call)} tried again by ${shown(cause.by.id)}`;
    case "call-dropped":
      return `call ${callText(cause.call)} dropped by ${shown(cause.by.id)}`;
    default:
      return (cause as { kind: string }).kind;
  }
}

function callText({ at, index }: CallId): string {
  return `${at}.${index}`;
}

/** What a record does: events, sends, timers, calls. */
export function effectLines(record: StepRecord): string[] {
  const lines: string[] = [];
  for (const { name, version, payload } of record.events) lines.push(`${name} v${version} ${shown(payload)}`);
  for (const { to, command, input, sequence } of record.sends)
    lines.push(`send ${sequence} to ${formatRef(to)}: ${command} ${shown(input)}`);
  for (const change of record.timers) {
    const { name } = change;
    if (change.dueMs === null) lines.push(`timer ${shown(name)} cancelled`);
    else lines.push(`timer ${shown(name)} at ${time(change.dueMs)}: ${change.command} ${shown(change.input)}`);
  }
  for (const { name, input } of record.calls) lines.push(`call ${name} ${shown(input)}`);
  return lines;
}

function outcomeLines({ outcome }: StepRecord): string[] {
  const lines: string[] = [];
  if (!outcome.ok) lines.push(`refused: ${outcome.code} ${shown(outcome.reason)} ${shown(outcome.details)}`);
  else if (outcome.value !== null) lines.push(`reply ${shown(outcome.value)}`);
  return lines;
}

function markLines({ park, state, left }: MarkRecord): string[] {
  const lines: string[] = [];
  if (park !== null) lines.push(`${park.why}: ${shown(park.error)}`);
  if (park !== null && park.poison > 0) lines.push(`at offset ${park.poison}`);
  if (left.length > 0) lines.push(`without the events at ${left.join(", ")}`);
  if (state !== null) lines.push(`state ${shown(state.value)}`);
  return lines;
}

export function printRecord({ offset, epoch, record }: PastRecord): void {
  const head = `${offset}  ${time(record.time)}  epoch ${epoch}`;
  if (record.kind === "mark") {
    const what = record.verb === "erase" ? "personal data erased" : `quarantine: ${record.verb}`;
    print(`${head}  ${what}  (${record.principal.kind} ${shown(record.principal.id)})`);
    for (const line of markLines(record)) print(`    ${line}`);
    return;
  }
  print(`${head}  ${record.command}  (${causeText(record.cause)})`);
  for (const line of [...effectLines(record), ...outcomeLines(record)]) print(`    ${line}`);
}

/** Where and when the entity was looked at. */
export function headline({ shard, offset, timeMs, image }: EntityPast): string {
  const when = offset === 0 ? "before the first record" : `offset ${offset}, ${time(timeMs)}`;
  return `${formatRef(image.entity)}  version ${image.version}  shard ${shard}, ${when}`;
}

export function printState(image: EntityImage): void {
  print(pretty(image.state));
  for (const { name, dueMs, command, input } of image.timers)
    print(`timer ${shown(name)} at ${time(dueMs)}: ${command} ${shown(input)}`);
  for (const { to, sends } of image.outbox)
    for (const { send, at } of sends)
      print(`send ${send.sequence} to ${formatRef(to)} since offset ${at}: ${send.command} ${shown(send.input)}`);
  for (const { id, body, failed, parked } of image.calls)
    print(`call ${callText(id)} ${body.name} ${shown(body.input)}, failed ${failed}${parked ? ", parked" : ""}`);
  if (image.parked !== undefined) print(`parked since ${time(image.parked.sinceMs)}: ${image.parked.park.why}`);
}

export function printPatch(patch: readonly PatchOperation[]): void {
  if (patch.length === 0) print("no difference in the state");
  for (const operation of patch) {
    const value = operation.op === "remove" ? "" : ` ${shown(operation.value)}`;
    print(`${operation.op} ${shown(operation.path)}${value}`);
  }
}
