/**
 * A history of one entity, as its clients saw it: what was asked when, and what was answered when.
 *
 * Invariant: moments are of one observer and only grow (a count of what it saw, or its monotonic clock); an operation without an answer
 * may have taken effect at any moment after it was sent, or may take effect later, or never.
 */

export interface Answer<Output> {
  /** When it came. `Infinity`: nobody was told, but it is known otherwise (from the log) that it took effect, and as what. */
  readonly at: number;
  readonly output: Output;
  /** The entity's version that the answer rests on; undefined where the answer tells none. */
  readonly version: number | undefined;
  /** It is this operation that made the version: no other one has it. */
  readonly changed: boolean;
}

export interface Operation<Input, Output> {
  /** Who asked, for reports. */
  readonly who: string;
  readonly input: Input;
  /** `-Infinity` where it is not known. */
  readonly sent: number;
  readonly answer: Answer<Output> | undefined;
}

/** What an entity does, one operation after the other. */
export interface Model<State, Input, Output> {
  readonly initial: State;
  /**
   * The state after an operation; undefined if that operation could not have had this output. Without an output: whatever it would
   * have been.
   */
  apply(state: State, input: Input, output: Output | undefined): State | undefined;
  /** Equal states have equal names. */
  name(state: State): string;
}

export function describeOperation({ who, input, sent, answer }: Operation<unknown, unknown>): string {
  const asked = `${who} ${JSON.stringify(input)} sent ${sent}`;
  if (answer === undefined) return `${asked}, no answer`;
  return `${asked}, ${JSON.stringify(answer.output)} of version ${answer.version ?? "?"} at ${answer.at}`;
}
