/**
 * Is a history linearizable: is there one order of its operations that fits what everybody was told, in which each operation takes
 * effect between the moment it was sent and the moment it was answered?
 *
 * The search is that of Wing and Gong (1993) with Lowe's memory (2017), as in Porcupine: take any operation that nobody's answer
 * forbids to be the next one, go on from there, and come back where that leads nowhere. Which operations were taken and the state they
 * led to is a configuration; one that was reached before is not entered again. Operations without an answer may be taken at any later
 * point or never.
 *
 * Invariant: "linearizable" comes with an order that shows it, "violation" after everything was tried. Since the problem is NP-complete
 * the search has a limit, and says "undecided" at it.
 */
import { describeOperation, type Model, type Operation } from "./history.ts";

export type Verdict =
  /** Places in the history, in an order that fits. Operations that never took effect are left out. */
  | { readonly kind: "linearizable"; readonly order: readonly number[] }
  /** `best` is the longest order that fitted, and `stuck` the answer that no order got past. */
  | { readonly kind: "violation"; readonly best: readonly number[]; readonly stuck: number }
  | { readonly kind: "undecided" };

/** Configurations of one search: some hundred bytes each. */
const configurationsMax = 300_000;

export function checkLinearizability<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  model: Model<State, Input, Output>,
  limit = configurationsMax,
): Verdict {
  return new Search(operations, model).run(limit);
}

/** The history as text, for people: what fitted, and where it ended. */
export function describeVerdict(verdict: Verdict, operations: readonly Operation<unknown, unknown>[]): string {
  if (verdict.kind !== "violation") return verdict.kind;
  const line = (place: number) => `  ${describeOperation(operations[place] as Operation<unknown, unknown>)}`;
  return [
    "no order fits; the longest:",
    ...verdict.best.map(line),
    "and this answer fits nowhere:",
    line(verdict.stuck),
  ].join("\n");
}

/** Events are numbered from 1 in the order of their moments; 0 begins the list, and ends it. */
interface Events {
  /** Operation of each event. */
  readonly operation: Int32Array;
  readonly isAnswer: Uint8Array;
  /** Event in which each operation was sent, and answered (0: never). */
  readonly sent: Int32Array;
  readonly answered: Int32Array;
}

/** Of equal moments what was sent comes first: then neither was before the other. */
function eventsOf(operations: readonly Operation<unknown, unknown>[]): Events {
  const all = operations.flatMap(({ sent, answer }, operation) => {
    const begin = { operation, moment: sent, isAnswer: false };
    return answer === undefined ? [begin] : [begin, { operation, moment: answer.at, isAnswer: true }];
  });
  all.sort((one, other) =>
    one.moment === other.moment ? Number(one.isAnswer) - Number(other.isAnswer) : one.moment < other.moment ? -1 : 1,
  );
  const events: Events = {
    operation: new Int32Array(all.length + 1),
    isAnswer: new Uint8Array(all.length + 1),
    sent: new Int32Array(operations.length),
    answered: new Int32Array(operations.length),
  };
  for (const [place, { operation, isAnswer }] of all.entries()) {
    events.operation[place + 1] = operation;
    events.isAnswer[place + 1] = isAnswer ? 1 : 0;
    (isAnswer ? events.answered : events.sent)[operation] = place + 1;
  }
  return events;
}

class Search<State, Input, Output> {
  readonly #operations: readonly Operation<Input, Output>[];
  readonly #model: Model<State, Input, Output>;
  readonly #events: Events;
  /** The events of operations that are not taken, as a list. */
  readonly #next: Int32Array;
  readonly #before: Int32Array;
  readonly #taken: Uint16Array;
  readonly #seen = new Set<string>();
  /** Taken operations, each with the state before it. */
  readonly #path: { readonly operation: number; readonly state: State }[] = [];
  #best: readonly number[] = [];
  #stuck = 0;
  /** Answered operations that are not taken. */
  #left: number;

  constructor(operations: readonly Operation<Input, Output>[], model: Model<State, Input, Output>) {
    this.#operations = operations;
    this.#model = model;
    this.#events = eventsOf(operations);
    const count = this.#events.operation.length;
    this.#next = Int32Array.from({ length: count }, (_, event) => (event + 1) % count);
    this.#before = Int32Array.from({ length: count }, (_, event) => (event + count - 1) % count);
    this.#taken = new Uint16Array(Math.ceil(operations.length / 16));
    this.#left = operations.filter(({ answer }) => answer !== undefined).length;
  }

  run(limit: number): Verdict {
    let state = this.#model.initial;
    let event = this.#next[0] as number;
    while (this.#left > 0) {
      const operation = this.#events.operation[event] as number;
      if (event === 0 || this.#events.isAnswer[event] === 1) {
        // Whoever was answered here must have been taken before anything behind it.
        this.#note(operation);
        const step = this.#path.pop();
        if (step === undefined) return { kind: "violation", best: this.#best, stuck: this.#stuck };
        this.#putBack(step.operation);
        state = step.state;
        event = this.#next[this.#events.sent[step.operation] as number] as number;
        continue;
      }
      const after = this.#after(state, operation);
      if (after === undefined || !this.#isNew(operation, after)) {
        event = this.#next[event] as number;
        continue;
      }
      if (this.#seen.size > limit) return { kind: "undecided" };
      this.#path.push({ operation, state });
      this.#take(operation);
      state = after;
      event = this.#next[0] as number;
    }
    return { kind: "linearizable", order: this.#path.map(({ operation }) => operation) };
  }

  #after(state: State, place: number): State | undefined {
    const { input, answer } = this.#operations[place] as Operation<Input, Output>;
    const after = this.#model.apply(state, input, answer?.output);
    // One that nobody heard of and that changes nothing might as well not have been: less to try.
    const isIdle = answer === undefined && after !== undefined && this.#model.name(after) === this.#model.name(state);
    return isIdle ? undefined : after;
  }

  #isNew(operation: number, state: State): boolean {
    this.#flip(operation);
    const configuration = `${String.fromCharCode(...this.#taken)}${this.#model.name(state)}`;
    this.#flip(operation);
    if (this.#seen.has(configuration)) return false;
    this.#seen.add(configuration);
    return true;
  }

  #flip(operation: number): void {
    const word = operation >> 4;
    this.#taken[word] = (this.#taken[word] as number) ^ (1 << (operation & 15));
  }

  #take(operation: number): void {
    this.#flip(operation);
    this.#unlink(this.#events.sent[operation] as number);
    const answered = this.#events.answered[operation] as number;
    if (answered === 0) return;
    this.#unlink(answered);
    this.#left -= 1;
  }

  /** In the opposite order, so that each finds its neighbours again. */
  #putBack(operation: number): void {
    this.#flip(operation);
    const answered = this.#events.answered[operation] as number;
    if (answered !== 0) {
      this.#link(answered);
      this.#left += 1;
    }
    this.#link(this.#events.sent[operation] as number);
  }

  #unlink(event: number): void {
    const [before, next] = [this.#before[event] as number, this.#next[event] as number];
    this.#next[before] = next;
    this.#before[next] = before;
  }

  #link(event: number): void {
    this.#next[this.#before[event] as number] = event;
    this.#before[this.#next[event] as number] = event;
  }

  #note(stuck: number): void {
    if (this.#path.length < this.#best.length) return;
    this.#best = this.#path.map(({ operation }) => operation);
    this.#stuck = stuck;
  }
}
