/**
 * Does a history fit the versions that its answers carry? This takes one pass, so it is asked of histories of any length.
 *
 * Versions are the order in which an entity's operations took effect, told by the service itself. So:
 *
 *   - what changed the entity has a version of its own;
 *   - what was answered before another was sent has a lower version, or the same if the other only read;
 *   - what was read had been asked for: nobody reads a version whose maker was sent after the answer;
 *   - all answers of one version show one state; and the outputs are those of the model when it carries the operations out in the order
 *     of their versions, if the history holds all that changed the entity.
 *
 * Invariant: a history that breaks none of these is linearizable as far as its answered operations go.
 */
import { describeOperation, type Model, type Operation } from "./history.ts";

type Known<Input, Output> = Operation<Input, Output> & {
  readonly answer: {
    readonly at: number;
    readonly output: Output;
    readonly version: number;
    readonly changed: boolean;
  };
};

/** What is wrong; empty if nothing is. Answers without a version are left out. */
export function checkVersionOrder<Input, Output>(operations: readonly Operation<Input, Output>[]): string[] {
  const known = operations.filter(hasVersion);
  return [...doubles(known), ...againstTime(known), ...fromTheFuture(known)];
}

/**
 * Carries the operations out in the order of their versions. Only for histories that hold everything that changed the entity: those that
 * nobody was answered come from the log.
 */
export function checkVersionModel<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  model: Model<State, Input, Output>,
): string[] {
  const known = operations.filter(hasVersion);
  // What made a version comes before those who saw it.
  known.sort((one, other) => one.answer.version - other.answer.version || rank(one) - rank(other));
  let state = model.initial;
  const found: string[] = [];
  for (const operation of known) {
    const after = model.apply(state, operation.input, operation.answer.output);
    if (after === undefined) {
      found.push(`an output that does not follow from the version before (${model.name(state)}): ${tell(operation)}`);
    } else if (!operation.answer.changed && model.name(after) !== model.name(state)) {
      found.push(`a change without a version of its own: ${tell(operation)}`);
    }
    state = after ?? model.apply(state, operation.input, undefined) ?? state;
  }
  return found;
}

/** Answers of one version that show different states. @param shown the state an answer shows; undefined where it shows none */
export function checkOneStatePerVersion<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  shown: (operation: Operation<Input, Output>) => string | undefined,
): string[] {
  const first = new Map<number, { readonly state: string; readonly operation: Operation<Input, Output> }>();
  const found: string[] = [];
  for (const operation of operations.filter(hasVersion)) {
    const state = shown(operation);
    if (state === undefined) continue;
    const before = first.get(operation.answer.version);
    if (before === undefined) first.set(operation.answer.version, { state, operation });
    else if (before.state !== state) {
      found.push(`one version shows ${before.state} and ${state}: ${tell(before.operation)}; ${tell(operation)}`);
    }
  }
  return found;
}

function hasVersion<Input, Output>(operation: Operation<Input, Output>): operation is Known<Input, Output> {
  return operation.answer?.version !== undefined;
}

const rank = ({ answer }: Known<unknown, unknown>): number => (answer.changed ? 0 : 1);
const tell = describeOperation;

function doubles(known: readonly Known<unknown, unknown>[]): string[] {
  const makers = new Map<number, Known<unknown, unknown>>();
  const found: string[] = [];
  for (const operation of known) {
    if (!operation.answer.changed) continue;
    const other = makers.get(operation.answer.version);
    if (other !== undefined) found.push(`two operations made one version: ${tell(other)}; ${tell(operation)}`);
    makers.set(operation.answer.version, operation);
  }
  return found;
}

function againstTime(known: readonly Known<unknown, unknown>[]): string[] {
  const bySent = [...known].sort((one, other) => compare(one.sent, other.sent));
  const byAnswer = [...known].sort((one, other) => compare(one.answer.at, other.answer.at));
  const found: string[] = [];
  let next = 0;
  let newest: Known<unknown, unknown> | undefined;
  for (const operation of bySent) {
    for (
      let before = byAnswer[next];
      before !== undefined && before.answer.at < operation.sent;
      before = byAnswer[++next]
    )
      if (newest === undefined || before.answer.version > newest.answer.version) newest = before;
    if (newest === undefined) continue;
    const ahead = operation.answer.version - newest.answer.version;
    if (ahead > 0 || (ahead === 0 && !operation.answer.changed)) continue;
    found.push(`an answer that is older than one before it: first ${tell(newest)}; then ${tell(operation)}`);
  }
  return found;
}

function fromTheFuture(known: readonly Known<unknown, unknown>[]): string[] {
  const makers = new Map(known.filter(({ answer }) => answer.changed).map((maker) => [maker.answer.version, maker]));
  return known.flatMap((operation) => {
    const maker = makers.get(operation.answer.version);
    if (maker === undefined || maker.sent <= operation.answer.at) return [];
    return [`an answer of a version that nobody had asked for: ${tell(operation)}; made by ${tell(maker)}`];
  });
}

/** Subtracting infinities gives no number. */
function compare(one: number, other: number): number {
  return one === other ? 0 : one < other ? -1 : 1;
}
