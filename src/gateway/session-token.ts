/**
 * Whom one WebSocket speaks for: the token of its greeting, and those that replace it.
 *
 * Invariants: a new token is the same principal's; one is checked at a time; a token that cannot be checked at the moment does not
 * take the place of one that holds.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Principal } from "../model/records.ts";
import type { ServerMessage } from "../wire/protocol.ts";
import { identify, samePrincipal } from "./auth.ts";
import type { GatewayContext, Identity } from "./options.ts";

export interface TokenOwner {
  /** The principal has other roles now. */
  restart(principal: Principal): void;
  say(message: ServerMessage): void;
  /** The token is not valid, or another principal's. */
  refused(error: unknown): void;
}

export class SessionToken {
  readonly #context: GatewayContext;
  readonly #address: string;
  readonly #owner: TokenOwner;
  #identity: Identity | undefined;
  #refreshing = false;
  #closed = false;

  constructor(context: GatewayContext, address: string, owner: TokenOwner) {
    this.#context = context;
    this.#address = address;
    this.#owner = owner;
  }

  /** After the greeting. */
  get principal(): Principal {
    return (this.#identity as Identity).principal;
  }

  get ended(): boolean {
    const endsMs = this.#identity?.expiresAtMs;
    return endsMs !== undefined && this.#context.clock.now() >= endsMs;
  }

  close(): void {
    this.#closed = true;
  }

  /** Of the greeting. @param welcome called when it is valid */
  greet(token: string | undefined, welcome: (principal: Principal) => void): void {
    identify(this.#context, token, { address: this.#address }).then(
      (identity) => {
        this.#identity = identity;
        welcome(identity.principal);
      },
      (error: unknown) => this.#owner.refused(error),
    );
  }

  /** @throws `invalid-frame` one is being checked already */
  refresh(token: string): void {
    if (this.#refreshing) throw new HoldfastError("invalid-frame", "A refresh is being checked already.");
    this.#refreshing = true;
    identify(this.#context, token, { address: this.#address }).then(
      (identity) => this.#refreshed(identity),
      (error: unknown) => {
        this.#refreshing = false;
        // Nobody can tell at the moment: the old token still holds until it ends.
        if (isHoldfastError(error) && error.code === "unavailable")
          this.#owner.say({
            t: "error",
            code: "unavailable",
            detail: "The new token cannot be checked at the moment.",
          });
        else this.#owner.refused(error);
      },
    );
  }

  #refreshed(identity: Identity): void {
    this.#refreshing = false;
    if (this.#closed) return;
    const before = this.principal;
    if (!samePrincipal(before, identity.principal)) {
      return this.#owner.refused(new HoldfastError("unauthenticated", "The new token is another principal's."));
    }
    this.#identity = identity;
    if (JSON.stringify(before.roles ?? []) === JSON.stringify(identity.principal.roles ?? [])) return;
    this.#owner.restart(identity.principal);
  }
}
