/** Questions between the benchmark and its processes, each with one answer. */
import type { ChildProcess } from "node:child_process";

interface Question {
  readonly id: number;
  readonly verb: string;
  readonly input: unknown;
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: string;
}

let ids = 0;

/** @throws what the process failed with; or that it ended */
export function ask<Result>(child: ChildProcess, verb: string, input: unknown = null): Promise<Result> {
  const id = ++ids;
  return new Promise((resolve, reject) => {
    const done = () => {
      child.off("message", heard);
      child.off("exit", gone);
    };
    const gone = () => {
      done();
      reject(new Error(`the process ended before it answered "${verb}"`));
    };
    const heard = (answer: Answer) => {
      if (answer.id !== id) return;
      done();
      if (answer.failure === undefined) resolve(answer.result as Result);
      else reject(new Error(answer.failure));
    };
    child.on("message", heard);
    child.once("exit", gone);
    child.send({ id, verb, input } satisfies Question, (error) => {
      if (error !== null) gone();
    });
  });
}

/** In the process: what it answers. */
export function answerQuestions(verbs: Readonly<Record<string, (input: never) => unknown>>): void {
  process.on("message", (message) => {
    const { id, verb, input } = message as Question;
    void (async () => {
      try {
        process.send?.({ id, result: await verbs[verb]?.(input as never) } satisfies Answer);
      } catch (error) {
        process.send?.({ id, failure: error instanceof Error ? error.message : String(error) } satisfies Answer);
      }
    })();
  });
}

/** One clock for all processes of a machine. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
