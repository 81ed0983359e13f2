/**
 * A simulated client: calls the service, retries with the same request id, and gives up at last.
 *
 * Invariant: one request id stands for one command; the client learns of it only by messages.
 */
import { catalogue } from "../model/errors.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { CallResult, CommandCall, Principal } from "../model/records.ts";
import type { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import type { Order } from "./courier.ts";
import type { Server } from "./server.ts";
import type { World } from "./world.ts";

export interface Wanted {
  readonly entity: EntityRef;
  readonly kind: "command" | "query";
  readonly name: string;
  readonly input: unknown;
  readonly ifVersion?: number;
}

export interface CallOptions {
  readonly wanted: Wanted;
  readonly attempts: number;
  readonly skewMs: number;
  readonly principal: Principal;
  /** `undefined` when it was given up. */
  readonly done: (result: CallResult | undefined) => void;
}

/** Whom clients call. */
export type Called = Pick<Server, "observer" | "execute" | "query">;

/** Carries one call through to its answer. */
export function startCall(world: World, server: Called, options: CallOptions): void {
  const { wanted, principal } = options;
  const requestId = makeUuidV7(world.wallMs + options.skewMs, world.prng.bytes(16));
  const { entity, input, ifVersion } = wanted;
  const call: CommandCall = {
    entity,
    command: wanted.name,
    input,
    requestId,
    principal,
    ...(ifVersion === undefined ? {} : { ifVersion }),
  };
  const floor = server.observer.floor(formatRef(entity));
  const what = `${wanted.name} ${formatRef(entity)} ${requestId.slice(-6)}`;
  let attempt = 0;
  let over = false;
  const finish = (result: CallResult | undefined) => {
    over = true;
    options.done(result);
  };
  const send = () => {
    if (over) return;
    if (attempt++ >= options.attempts) {
      world.note(`gave up ${what}`);
      return finish(undefined);
    }
    const mine = attempt;
    world.note(`call ${what} attempt ${attempt}`);
    const answer = (result: CallResult) => {
      if (over) return;
      if (!result.ok && catalogue[result.code].recovery === "retry") {
        if (mine === attempt) world.timeline.after(world.prng.integer(200), () => mine === attempt && send());
      } else finish(result);
    };
    if (wanted.kind === "command") server.execute({ call, floor }, answer);
    else server.query({ entity, query: wanted.name, input, principal }, answer);
    world.timeline.after(world.swarm.timeoutMs, () => mine === attempt && send());
  };
  send();
}

/** Draws what clients do next. */
export function drawCall(world: World, prng: Prng, floorOf: (entity: string) => number): Wanted {
  const { swarm } = world;
  const command = (type: string, key: string, name: string, input: unknown, ifVersion?: number): Wanted => ({
    entity: { type, key },
    kind: "command",
    name,
    input,
    ...(ifVersion === undefined ? {} : { ifVersion }),
  });
  const walletKey = () => `w${prng.integer(swarm.wallets)}`;
  const counterKey = () => `c${prng.integer(swarm.counters)}`;
  if (swarm.couriers > 0 && prng.chance(0.25)) return drawOrder(swarm.couriers, prng, command);
  const { saplings } = swarm.evolution;
  if (saplings > 0 && prng.chance(0.3))
    return command("sapling", `s${prng.integer(saplings)}`, "grow", { by: prng.between(1, 9) });
  const relaxed = () => swarm.relaxed > 0 && prng.chance(swarm.relaxed);
  const draw = prng.integer(100);
  if (draw < 14) return command("wallet", walletKey(), "grant", { amount: prng.between(10, 60) });
  if (draw < 42) {
    const to = Array.from({ length: prng.pick([1, 1, 1, 2, 3]) }, walletKey);
    return command("wallet", walletKey(), relaxed() ? "pay" : "transfer", { to, amount: prng.between(1, 25) });
  }
  if (draw < 58) {
    const key = counterKey();
    const ifVersion = prng.chance(0.15) ? floorOf(`counter/${key}`) : undefined;
    return command("counter", key, relaxed() ? "bump" : "add", { amount: prng.between(1, 9) }, ifVersion);
  }
  if (draw < 64) return command("counter", counterKey(), prng.pick(["look", "refuse"]), null);
  if (draw < 76 && swarm.alarms > 0) return drawAlarm(swarm.alarms, prng, command);
  if (draw < 88 && swarm.fragiles > 0) {
    return command("fragile", "f0", "poke", {
      how: prng.pick(["fine", "fine", "throw", "reply", "poison", "latent", "latent", "latent", "latent"]),
    });
  }
  const entity = drawEntity(world, prng);
  return { entity, kind: "query", name: "state", input: undefined };
}

type Command = (type: string, key: string, name: string, input: unknown) => Wanted;

function drawAlarm(alarms: number, prng: Prng, command: Command): Wanted {
  const key = `a${prng.integer(alarms)}`;
  const name = `t${prng.integer(4)}`;
  if (prng.chance(0.2)) return command("alarm", key, "cancel", { name });
  const afterMs = prng.pick([0, 10, 200, 1_500, 12_000]);
  const trouble = prng.chance(0.1) ? { cursed: true } : prng.chance(0.1) ? { pokes: true } : {};
  return command("alarm", key, "arm", { name, afterMs, repeat: prng.pick([0, 0, 1, 3]), ...trouble });
}

function drawOrder(couriers: number, prng: Prng, command: Command): Wanted {
  const order: Order = {
    failure: prng.pick(["park", "tell", "settle"]),
    attempts: prng.between(1, 4),
    timeoutMs: prng.pick([50, 400, 2_000]),
    quiet: prng.chance(0.2),
  };
  return command("courier", `d${prng.integer(couriers)}`, "order", order);
}

export function drawEntity({ swarm }: World, prng: Prng): EntityRef {
  const known = allEntities(swarm);
  return prng.pick(known);
}

/** Every entity that clients may touch, and those that only entities do. */
export function allEntities(swarm: World["swarm"]): EntityRef[] {
  const named = (type: string, letter: string, count: number) =>
    Array.from({ length: count }, (_, index) => ({ type, key: `${letter}${index}` }));
  return [
    ...named("wallet", "w", swarm.wallets),
    { type: "wallet", key: "till" },
    ...named("counter", "c", swarm.counters),
    { type: "counter", key: "bells" },
    ...named("alarm", "a", swarm.alarms),
    ...named("fragile", "f", swarm.fragiles),
    ...named("courier", "d", swarm.couriers),
    ...named("sapling", "s", swarm.evolution.saplings),
  ];
}
