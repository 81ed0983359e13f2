/**
 * Answers on their way out of a node, in bursts.
 *
 * Invariants: they leave in the order they came, never from inside the step that made them. An early answer waits for the
 * end of the turn: callers that ask again at once must not keep the log from its turn.
 */
import type { WatchNews } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Watching } from "./shard-host.ts";

export class Outgoing {
  readonly #clock: Clock;
  readonly #failed: (error: unknown) => void;
  #answers: (() => void)[] = [];
  #flushing = false;
  #deferring = false;

  /** @param failed a caller's own fault, which must not cost the others of its burst their answers */
  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Answers after the present step: those of one group commit together. */
  add(answer: () => void, early = false): void {
    this.#answers.push(answer);
    if (this.#flushing || (early && this.#deferring)) return;
    if (early) {
      this.#deferring = true;
      this.#clock.defer(() => {
        this.#deferring = false;
        this.flush();
      });
      return;
    }
    this.#flushing = true;
    queueMicrotask(() => this.flush());
  }

  /** News for a watcher, unless it has left meanwhile; a failure is the last it hears. */
  publish(watching: Watching, news: WatchNews): void {
    this.add(() => {
      if (watching.over) return;
      if (!news.ok) watching.over = true;
      watching.listener(news);
    });
  }

  flush(): void {
    this.#flushing = false;
    const answers = this.#answers;
    this.#answers = [];
    for (const answer of answers) {
      try {
        answer();
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  /** Nobody is answered who was not yet. */
  drop(): void {
    this.#answers = [];
  }
}
