/**
 * Tokens to principals: the rules around the authentication hook, and the hook for development.
 *
 * Invariant: what the hook throws never reaches a caller or a log; a caller learns that its token is not valid, or that
 * nobody can tell at the moment.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Principal } from "../model/records.ts";
import type { Authenticate, Caller, GatewayContext, Identity } from "./options.ts";

/** Longest id of a principal. */
export const idCharsMax = 256;
const kinds: ReadonlySet<string> = new Set(["user", "service", "operator", "anonymous"]);
const developmentToken = /^dev:([A-Za-z0-9_-]{1,64})$/;

export const anonymous: Principal = Object.freeze({ kind: "anonymous", id: "anonymous" });

/**
 * Asks the hook, within `handshakeMs`.
 * @throws `unauthenticated` or `unavailable`, with nothing of the token in it
 */
export async function identify(context: GatewayContext, token: string | undefined, caller: Caller): Promise<Identity> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = context.clock.after(context.service.limits.handshakeMs, () => {
      reject(new HoldfastError("unavailable", "The token could not be checked in time; try again."));
    });
  });
  try {
    const identity = await Promise.race([context.authenticate(token, caller), late]);
    checkIdentity(identity, context.clock.now());
    return identity;
  } catch (error) {
    throw authenticationError(context, error);
  } finally {
    cancel();
  }
}

function authenticationError(context: GatewayContext, error: unknown): HoldfastError {
  if (isHoldfastError(error)) {
    if (error.code === "unauthenticated")
      return new HoldfastError("unauthenticated", "The token is missing or not valid.");
    if (error.code === "forbidden") return new HoldfastError("forbidden", "This principal may not connect.");
  }
  const thrown = error instanceof Error ? error.name : typeof error;
  context.report({ where: "authenticate", code: "unavailable", thrown });
  return new HoldfastError("unavailable", "The token cannot be checked at the moment; try again.");
}

/** An identity that could be mistaken for the runtime's own is a mistake of the hook. */
function checkIdentity(identity: Identity, now: number): void {
  const { kind, id } = identity.principal;
  if (!kinds.has(kind) || typeof id !== "string" || id.length === 0 || id.length > idCharsMax || !id.isWellFormed()) {
    throw new HoldfastError("invalid-configuration", "The authentication hook gave a principal that no caller can be.");
  }
  if (identity.expiresAtMs !== undefined && !(identity.expiresAtMs > now)) {
    throw new HoldfastError("unauthenticated", "The token has ended.");
  }
}

/** Whether two principals are the same, roles aside. */
export function samePrincipal(left: Principal, right: Principal): boolean {
  return left.kind === right.kind && left.id === right.id;
}

/**
 * For development only: `dev:<name>` is the token of the user `<name>`, no token is anonymous. Anybody can be anybody.
 * @param warn told once, loudly
 * @throws `invalid-configuration` NODE_ENV is `production`
 */
export function developmentAuthentication(options: { readonly warn: (text: string) => void }): Authenticate {
  if (process.env["NODE_ENV"] === "production") {
    throw new HoldfastError(
      "invalid-configuration",
      "Development authentication lets anybody be anybody and does not start with NODE_ENV=production; use jwtAuthentication or a hook of your own.",
    );
  }
  options.warn(
    [
      "",
      "  ***************************************************************************",
      "  *  DEVELOPMENT AUTHENTICATION: anybody can be anybody (token dev:<name>).  *",
      "  *  Do not let this port be reached from another machine.                   *",
      "  ***************************************************************************",
      "",
    ].join("\n"),
  );
  const authenticate = (token: string | undefined): Promise<Identity> => {
    if (token === undefined) return Promise.resolve({ principal: anonymous });
    const id = developmentToken.exec(token)?.[1];
    if (id === undefined)
      return Promise.reject(new HoldfastError("unauthenticated", "A development token is dev:<name>."));
    return Promise.resolve({ principal: { kind: "user", id } });
  };
  return Object.assign(authenticate, { development: true });
}
