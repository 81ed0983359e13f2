/**
 * Histories for the tests of the checkers: of an entity that does what it should, seen by clients whose messages take their time, some of
 * whom are never answered; and the answer of somebody who tries every order.
 */
import fc from "fast-check";
import type { Model, Operation } from "./history.ts";

export type AnyOperation = Operation<unknown, unknown>;

interface Draft<Input> {
  readonly input: Input;
  /** When it takes effect, and how long before it was sent and after it was answered. */
  readonly at: number;
  readonly before: number;
  readonly after: number;
  /** Unanswered: it took effect all the same, or not. */
  readonly fate: "answered" | "unheard" | "lost";
}

export function drafts<Input>(
  input: fc.Arbitrary<Input>,
  bounds: { readonly most: number; readonly spread: number; readonly unheard?: boolean },
): fc.Arbitrary<Draft<Input>[]> {
  const time = fc.integer({ min: 1, max: bounds.spread });
  const fate =
    bounds.unheard === false ? fc.constant("answered") : fc.constantFrom("answered", "answered", "unheard", "lost");
  const draft = fc.record({
    input,
    at: fc.integer({ min: 0, max: 3 * bounds.most }),
    before: time,
    after: time,
    fate: fate as fc.Arbitrary<Draft<Input>["fate"]>,
  });
  return fc.array(draft, { maxLength: bounds.most });
}

/** What clients of an entity that keeps to its model are told. Versions have gaps, as other entities of a shard make them. */
export function served<State, Input, Output>(
  planned: readonly Draft<Input>[],
  model: Model<State, Input, Output>,
  outputOf: (before: State, after: State, input: Input) => Output,
): Operation<Input, Output>[] {
  let state = model.initial;
  let version = 0;
  // Moments of effects are made distinct, so that their order is one.
  const inOrder = planned.map((draft, index) => ({ ...draft, at: draft.at + index / 1_000, index }));
  inOrder.sort((one, other) => one.at - other.at);
  const history = inOrder.map(({ input, at, before, after, fate, index }): [number, Operation<Input, Output>] => {
    const asked = { who: `c${index}`, input, sent: at - before };
    if (fate === "lost") return [index, { ...asked, answer: undefined }];
    const next = model.apply(state, input, undefined) as State;
    const changed = model.name(next) !== model.name(state);
    if (changed) version += 1 + (index % 2);
    const output = outputOf(state, next, input);
    state = next;
    if (fate === "unheard") return [index, { ...asked, answer: undefined }];
    return [index, { ...asked, answer: { at: at + after, output, version, changed } }];
  });
  return history.sort(([one], [other]) => one - other).map(([, operation]) => operation);
}

/** Tries every order of every choice of operations. For a handful of them. */
export function isLinearizableByForce<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  model: Model<State, Input, Output>,
): boolean {
  const go = (state: State, left: readonly Operation<Input, Output>[]): boolean => {
    if (left.every(({ answer }) => answer === undefined)) return true;
    return left.some((operation) => {
      const others = left.filter((other) => other !== operation);
      const mustWait = others.some(({ answer }) => answer !== undefined && answer.at < operation.sent);
      if (mustWait) return false;
      const after = model.apply(state, operation.input, operation.answer?.output);
      return after !== undefined && go(after, others);
    });
  };
  return go(model.initial, operations);
}
