/**
 * One call to an S3 server: attempts with a time limit each, pauses between them, and what its failures mean.
 *
 * Invariant: a call is answered or refused after at most `attemptsMax` attempts. What may pass (no answer, 408, 409, 429, 5xx) is
 * tried again; what will not (credentials, bucket) is `invalid-configuration` at once.
 */
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Clock, Random } from "../../ports/clock.ts";
import type { ObjectTag } from "../../ports/snapshot-store.ts";

export interface S3CallLimits {
  /** One attempt, with the body. 4 MiB in 30 s is a line of 1.1 Mbit/s. */
  readonly attemptMs: number;
  readonly attemptsMax: number;
  /** Before the second attempt at most; doubles after each. */
  readonly pauseMs: number;
  readonly pauseMsMax: number;
  /** Larger objects go up in parts. */
  readonly multipartBytes: number;
  /** One part; S3 takes none below 5 MiB but the last. */
  readonly partBytes: number;
}

export const s3CallLimitsDefault: S3CallLimits = {
  attemptMs: 30_000,
  attemptsMax: 6,
  pauseMs: 200,
  pauseMsMax: 10_000,
  multipartBytes: 16 * 1024 * 1024,
  partBytes: 8 * 1024 * 1024,
};

export interface S3Call<T> {
  /** For messages. */
  readonly what: string;
  readonly send: (signal: AbortSignal) => Promise<T>;
  /** Statuses that the caller understands; these errors are thrown as they are. */
  readonly pass?: readonly number[];
  /** An attempt had no answer: it may have been carried out. */
  readonly onUnknown?: () => void;
}

export interface S3CallsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Bucket and prefix, for messages. */
  readonly place: string;
  readonly limits: S3CallLimits;
}

export class S3Calls {
  readonly limits: S3CallLimits;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #place: string;

  constructor({ clock, random, place, limits }: S3CallsOptions) {
    this.limits = limits;
    this.#clock = clock;
    this.#random = random;
    this.#place = place;
  }

  /** @throws `unavailable`, `invalid-configuration`, or an error whose status is one of `pass` */
  async run<T>({ what, send, pass = [], onUnknown }: S3Call<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(send);
      } catch (error) {
        if (isHoldfastError(error)) throw error;
        const status = statusOf(error);
        if (status !== undefined && pass.includes(status) && !isBucketMissing(error)) throw error;
        if (!mayPass(status)) throw this.#refused(what, error);
        // 409 and 429 are refusals; everything else that may pass leaves the outcome open.
        if (status !== 409 && status !== 429) onUnknown?.();
        if (attempt >= this.limits.attemptsMax) throw this.#unavailable(what, attempt, error);
      }
      await this.#pause(attempt);
    }
  }

  async #attempt<T>(send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const cancel = this.#clock.after(this.limits.attemptMs, () => controller.abort());
    try {
      return await send(controller.signal);
    } finally {
      cancel();
    }
  }

  /** A random part of a limit that doubles: many that failed together do not come back together. */
  #pause(attempt: number): Promise<void> {
    const limitMs = Math.min(this.limits.pauseMsMax, this.limits.pauseMs * 2 ** (attempt - 1));
    const [chance = 0] = this.#random.bytes(1);
    return new Promise((done) => this.#clock.after(1 + (limitMs * chance) / 256, done));
  }

  tag(found: string | undefined, name: string): ObjectTag {
    if (found !== undefined && found !== "") return found;
    throw new HoldfastError("invalid-configuration", `The S3 server gives no ETag for ${name} in ${this.#place}.`);
  }

  #refused(what: string, cause: unknown): HoldfastError {
    const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    return new HoldfastError("invalid-configuration", `S3 refused to ${what} in ${this.#place} (${why}).`, { cause });
  }

  #unavailable(what: string, attempts: number, cause: unknown): HoldfastError {
    const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    const message = `S3 did not ${what} in ${this.#place} in ${attempts} attempts (${why}).`;
    return new HoldfastError("unavailable", message, { cause });
  }
}

/** The HTTP status of the server's answer; undefined if there was none. */
export function statusOf(error: unknown): number | undefined {
  if (isHoldfastError(error)) return undefined;
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

function isBucketMissing(error: unknown): boolean {
  return (error as { name?: unknown }).name === "NoSuchBucket";
}

/** A 200 whose body did not come whole, or could not be read, counts as no answer. */
function mayPass(status: number | undefined): boolean {
  return status === undefined || status < 300 || [408, 409, 429].includes(status) || status >= 500;
}
