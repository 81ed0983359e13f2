/**
 * JSON Web Tokens to principals, on `jose`, with everything closed that its defaults leave open.
 *
 * Invariant: a token is accepted only with a signature of a listed algorithm by a configured key, the configured issuer
 * and audience, a type that is a token's, and an issue and an end in the right order and not too far apart.
 */
import {
  type CryptoKey,
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
  type KeyObject,
} from "jose";
import { HoldfastError } from "../model/errors.ts";
import type { Principal } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import { anonymous, idCharsMax } from "./auth.ts";
import type { Authenticate, Identity } from "./options.ts";

export interface JwtOptions {
  /** Exactly what `iss` must be. */
  readonly issuer: string;
  /** What `aud` must be, or contain. */
  readonly audience: string;
  /** Where the keys come from. */
  readonly keys:
    | { readonly jwksUrl: string }
    | { readonly jwks: JSONWebKeySet }
    | { readonly publicKey: CryptoKey | KeyObject }
    | { readonly secret: Uint8Array };
  /** The only ones taken, such as `["ES256"]`. All symmetric (with a secret) or all asymmetric (with anything else). */
  readonly algorithms: readonly string[];
  readonly clock: Clock;
  /** A token issued longer ago is refused, whatever its `exp`. Default one day. */
  readonly tokenAgeMsMax?: number;
  /** How far the clocks of issuer and node may differ. Default 5 s. */
  readonly clockToleranceMs?: number;
  /** True lets callers without a token in, as the principal `anonymous`. Default false. */
  readonly anonymous?: boolean;
  /** The principal of verified claims. Default: the user `sub`, with the strings of `roles`. */
  readonly principal?: (claims: JWTPayload) => Principal;
}

const symmetric: ReadonlySet<string> = new Set(["HS256", "HS384", "HS512"]);
const asymmetric: ReadonlySet<string> = new Set([
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
]);
const types: ReadonlySet<string> = new Set(["jwt", "at+jwt", "application/at+jwt"]);
const secretBytesMin = 32;
const rolesMax = 64;
const roleCharsMax = 128;
const fetchMs = 3_000;
const dayMs = 86_400_000;

/** @throws `invalid-configuration` settings under which somebody else's token could be accepted */
export function jwtAuthentication(options: JwtOptions): Authenticate {
  checkOptions(options);
  const key = findKey(options.keys);
  const verify: JWTVerifyOptions = {
    issuer: options.issuer,
    audience: options.audience,
    algorithms: [...options.algorithms],
    requiredClaims: ["iss", "aud", "sub", "exp", "iat"],
    maxTokenAge: `${Math.ceil((options.tokenAgeMsMax ?? dayMs) / 1000)}s`,
    clockTolerance: `${Math.ceil((options.clockToleranceMs ?? 5_000) / 1000)}s`,
  };
  const principalOf = options.principal ?? defaultPrincipal;
  return async (token): Promise<Identity> => {
    if (token === undefined) {
      if (options.anonymous === true) return { principal: anonymous };
      throw new HoldfastError("unauthenticated", "There is no token.");
    }
    const { payload, protectedHeader } = await check(token, key, {
      ...verify,
      currentDate: new Date(options.clock.now()),
    });
    if (!types.has((protectedHeader.typ ?? "jwt").toLowerCase()))
      throw new HoldfastError("unauthenticated", "The token is of another type.");
    return { principal: principalOf(payload), expiresAtMs: (payload.exp ?? 0) * 1000 };
  };
}

type Key = CryptoKey | KeyObject | Uint8Array | JWTVerifyGetKey;

async function check(token: string, key: Key, verify: JWTVerifyOptions) {
  try {
    return typeof key === "function" ? await jwtVerify(token, key, verify) : await jwtVerify(token, key, verify);
  } catch (error) {
    // Keys that cannot be fetched are our trouble, not the caller's.
    if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) throw error;
    throw new HoldfastError("unauthenticated", "The token is not valid.");
  }
}

function findKey(keys: JwtOptions["keys"]): Key {
  if ("secret" in keys) return keys.secret;
  if ("publicKey" in keys) return keys.publicKey;
  if ("jwks" in keys) return createLocalJWKSet(keys.jwks);
  return createRemoteJWKSet(new URL(keys.jwksUrl), {
    timeoutDuration: fetchMs,
    cooldownDuration: 30_000,
    cacheMaxAge: 600_000,
  });
}

function defaultPrincipal(claims: JWTPayload): Principal {
  const given = claims["roles"];
  const roles = Array.isArray(given)
    ? given.filter((role): role is string => typeof role === "string" && role.length <= roleCharsMax)
    : [];
  if (
    typeof claims.sub !== "string" ||
    claims.sub === "" ||
    claims.sub.length > idCharsMax ||
    roles.length > rolesMax
  ) {
    throw new HoldfastError("unauthenticated", "The token's subject or roles are not usable.");
  }
  return { kind: "user", id: claims.sub, roles };
}

function checkOptions(options: JwtOptions): void {
  const refuse = (problem: string): never => {
    throw new HoldfastError("invalid-configuration", `jwtAuthentication: ${problem}.`);
  };
  if (typeof options.issuer !== "string" || options.issuer === "")
    refuse("`issuer` is missing; name who signs the tokens");
  if (typeof options.audience !== "string" || options.audience === "")
    refuse("`audience` is missing; name this service");
  if (!Array.isArray(options.algorithms) || options.algorithms.length === 0)
    refuse("`algorithms` is missing; list those the issuer signs with");
  const fitting = "secret" in options.keys ? symmetric : asymmetric;
  for (const algorithm of options.algorithms) {
    if (!fitting.has(algorithm))
      refuse(`one of \`algorithms\` does not fit the keys; with these keys use some of ${[...fitting].join(", ")}`);
  }
  if ("secret" in options.keys && options.keys.secret.length < secretBytesMin)
    refuse(`the secret has fewer than ${secretBytesMin} bytes; make a longer one`);
  if ("jwksUrl" in options.keys) {
    const url = new URL(options.keys.jwksUrl);
    const near = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
    if (url.protocol !== "https:" && !(near && url.protocol === "http:"))
      refuse("`jwksUrl` is not https; keys fetched in the clear can be anybody's");
  }
}
