/**
 * Where a subscriber stands in a stream: what the messages of its cursor's subject say.
 */
import { refusal } from "./errors.ts";

export interface NatsPlace {
  /** Of the running that wrote it. */
  readonly epoch: number;
  /** Undefined: nothing was delivered yet. */
  readonly cursor: string | undefined;
  /**
   * Of a batch that was larger than an atomic batch and is written in part: for each shard the sequence (as in CloudEvents) of
   * the last item after `cursor` that is in the stream. Whatever comes again up to there is left out; items of a shard come in the order of
   * their sequences, in whatever batches.
   */
  readonly marks: Readonly<Record<number, string>>;
  /** Of the message in the stream; 0: there is none. */
  readonly sequence: number;
}

export const firstPlace: NatsPlace = { epoch: 0, cursor: undefined, marks: {}, sequence: 0 };

export function textOf({ epoch, cursor, marks }: NatsPlace): string {
  return JSON.stringify({ epoch, cursor: cursor ?? null, marks });
}

/** @throws `invalid-configuration` somebody else writes to the subject */
export function readPlace(text: string, sequence: number): NatsPlace {
  const strange = () =>
    refusal(`Message ${sequence} of the stream is no cursor of a subscriber: ${text.slice(0, 100)}`);
  let found: Partial<Record<keyof NatsPlace, unknown>>;
  try {
    found = JSON.parse(text) as Partial<Record<keyof NatsPlace, unknown>>;
  } catch {
    throw strange();
  }
  const { epoch, cursor, marks } = found ?? {};
  const isCursor = cursor === null || typeof cursor === "string";
  if (typeof epoch !== "number" || !isCursor || typeof marks !== "object" || marks === null) throw strange();
  return { epoch, cursor: cursor ?? undefined, marks: marks as NatsPlace["marks"], sequence };
}
