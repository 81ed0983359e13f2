/**
 * What hostile input is thrown at: a real node behind a real gateway.
 *
 * Invariant: `stillServing` holds after every case: a connection that was there before still gets its pong, a new one
 * still gets its command carried out, and `Object.prototype` is as it was.
 */
import assert from "node:assert/strict";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { SignJWT } from "jose";
import { z } from "zod";
import { openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { jwtAuthentication } from "../../src/gateway/jwt.ts";
import type { Gateway, GatewayOptions, GatewayProblem } from "../../src/gateway/options.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { defineEntity } from "../../src/model/entity.ts";
import type { Limits } from "../../src/model/limits.ts";
import { startNode } from "../../src/runtime/node.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { open, type Socket } from "./socket.ts";

export const issuer = "https://issuer.example";
export const audience = "holdfast-test";
export const secret = new TextEncoder().encode("a secret of the tests, with 32+ bytes");

/** Takes anything, so that what reaches it got past every other check. */
const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) },
};

const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0, note: null as unknown }),
  events: {
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    noted: (state, event: { note: unknown }) => {
      state.note = event.note;
    },
  },
  commands: (command) => ({
    credit: command(z.object({ amount: z.int().positive() }), (state, { amount }, context) => {
      context.emit("credited", { amount });
      return (next) => ({ balance: next.balance });
    }),
    debit: command(z.object({ amount: z.int().positive() }), (state, { amount }, context) => {
      if (state.balance < amount) return context.reject("insufficient-funds", { balance: state.balance });
      context.emit("credited", { amount: -amount });
      return (next) => ({ balance: next.balance });
    }),
    note: command(anything, (_state, note, context) => {
      context.emit("noted", { note: note ?? null });
    }),
    fail: command(() => {
      throw new Error("canary-thrown");
    }),
  }),
  queries: {
    balance: (state) => state.balance,
    note: (state) => state.note,
    echo: { input: anything, read: (_state, input) => input ?? null },
  },
  views: { public: (state) => ({ balance: state.balance }), own: (state, viewer) => ({ ...state, viewer: viewer.id }) },
  // The owner may do anything with its own (`ann`, `ann_2`); an auditor may look at everybody's.
  access: (principal, verb, key) =>
    principal.kind === "user" &&
    (principal.id === key ||
      key.startsWith(`${principal.id}_`) ||
      (principal.roles?.includes("auditor") === true && (verb.kind === "query" || verb.kind === "view"))),
});

export interface Target extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly url: string;
  readonly port: number;
  /** What the gateway reported. */
  readonly problems: readonly GatewayProblem[];
  /** Everything that user code or the node complained of. */
  readonly faults: readonly string[];
  stillServing(): Promise<void>;
}

export async function startTarget(
  limits: Partial<Limits> = {},
  options: Partial<GatewayOptions> = {},
): Promise<Target> {
  const problems: GatewayProblem[] = [];
  const faults: string[] = [];
  const node = await startNode({
    entities: [wallet],
    log: openMemoryLog({ shardCount: 4 }),
    shardCount: 4,
    clock: systemClock,
    random: systemRandom,
    limits,
    onFault: (where) => faults.push(where),
    onCrash: (error) => faults.push(`crash: ${String(error)}`),
  });
  const gateway = await startGateway({
    service: node,
    clock: systemClock,
    random: systemRandom,
    authenticate: jwtAuthentication({ issuer, audience, keys: { secret }, algorithms: ["HS256"], clock: systemClock }),
    port: 0,
    report: (problem) => problems.push(problem),
    ...options,
  }).catch(async (error: unknown) => {
    await node.stop();
    throw error;
  });
  const prototype = Object.getOwnPropertyNames(Object.prototype).join();
  const token = await sign({ sub: "good" });
  let before: Socket | undefined;
  return {
    gateway,
    url: gateway.url,
    port: gateway.port,
    problems,
    faults,
    stillServing: async () => {
      assert.equal(Object.getOwnPropertyNames(Object.prototype).join(), prototype);
      assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
      before ??= await open(gateway.port, "msgpack", token);
      await before.ask([{ t: "ping" }], (message) => message.t === "pong");
      const answer = await fetch(`${gateway.url}/v1/entities/wallet/good/commands/credit`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: '{"amount":1}',
      });
      assert.equal(answer.status, 200, await answer.text());
    },
    [Symbol.asyncDispose]: async () => {
      before?.end();
      await gateway.close();
      await node.stop();
    },
  };
}

export interface Claims {
  readonly sub?: string;
  readonly roles?: unknown;
  readonly [claim: string]: unknown;
}

/** A token that the target takes, with these claims. */
export function sign(claims: Claims, lifeSeconds = 600): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ iss: issuer, aud: audience, iat: now, exp: now + lifeSeconds, ...claims })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .sign(secret);
}

/** A request id of now, or of some time ago. */
export function requestId(agoMs = 0): string {
  return makeUuidV7(Date.now() - agoMs, systemRandom.bytes(16));
}
