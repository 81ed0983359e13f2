/**
 * Commands to the entities that Holdfast keeps its own things in.
 *
 * Invariant: one request id per command, over all its attempts: what was carried out is not carried out again.
 */
import { catalogue } from "../model/errors.ts";
import type { EntityRef } from "../model/ids.ts";
import type { CallResult, Principal } from "../model/records.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { Service } from "../runtime/service.ts";
import { makeUuidV7 } from "../std/uuid.ts";

const waitFirstMs = 10;
const waitMostMs = 1_000;

export interface OwnCommandsOptions {
  readonly service: Pick<Service, "execute">;
  readonly clock: Clock;
  readonly random: Random;
  /** The node's time, ms since 1970. */
  readonly now: () => number;
}

export interface OwnCommand {
  readonly entity: EntityRef;
  readonly command: string;
  readonly input?: unknown;
  readonly principal: Principal;
}

export class OwnCommands {
  readonly #options: OwnCommandsOptions;

  constructor(options: OwnCommandsOptions) {
    this.#options = options;
  }

  /** One attempt. */
  once(command: OwnCommand): Promise<CallResult> {
    return this.#attempt(command, this.#requestId());
  }

  /** Until it is answered by something else than "ask again", or nobody wants it any more. */
  async untilAnswered(command: OwnCommand, unwanted: () => boolean): Promise<CallResult> {
    const requestId = this.#requestId();
    for (let waitMs = waitFirstMs; ; waitMs = Math.min(waitMostMs, waitMs * 2)) {
      const result = await this.#attempt(command, requestId);
      if (result.ok || catalogue[result.code].recovery !== "retry" || unwanted()) return result;
      await new Promise<void>((resolve) => this.#options.clock.after(waitMs, resolve));
      if (unwanted()) return result;
    }
  }

  #attempt({ entity, command, input, principal }: OwnCommand, requestId: string): Promise<CallResult> {
    return new Promise((done) => {
      this.#options.service.execute({ entity, command, input, requestId, principal }, done);
    });
  }

  #requestId(): string {
    const { random, now } = this.#options;
    return makeUuidV7(now(), random.bytes(16));
  }
}
