/**
 * The lying disk: when everything has come to rest, copies of what is stored are damaged in one way each, and a node is
 * started over every copy, twice. It must find the damage (refuse to start, or tell what it did without), or show exactly
 * what the log said. No damage may make another state.
 *
 * One thing nobody on the node can know: that the log's end is gone, where nothing else ever held what stood there. Then the
 * node is what a shorter log makes it, which is checked, and counted as `shorter`. Where the state store or, without one, a
 * snapshot knows of more, it must be found.
 *
 * Invariant: nothing of the run itself is changed.
 */
import { isHoldfastError } from "../model/errors.ts";
import { formatRef, shardOf } from "../model/ids.ts";
import type { Prng } from "../std/prng.ts";
import { allEntities } from "./client.ts";
import { type Copies, type DamageKind, damageKinds } from "./damage-kinds.ts";
import { type Life, liveOver } from "./damage-life.ts";
import { type SaplingFacts, saplingStates } from "./sapling.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

/** What came of damage: found, without any effect, or an end of the log that nobody could miss. */
export type DamageOutcome = "detected" | "harmless" | "shorter";
export const damagePromise = "damage never makes wrong state";
export type DamageCounts = Record<string, Record<DamageOutcome, number>>;

export function addDamage(sum: DamageCounts, counts: DamageCounts): void {
  for (const [kind, outcomes] of Object.entries(counts)) {
    const known = (sum[kind] ??= { detected: 0, harmless: 0, shorter: 0 });
    for (const name of Object.keys(known) as DamageOutcome[]) known[name] += outcomes[name];
  }
}

/** What a start may be refused with when something is damaged. */
const refusals = new Set(["log-damaged", "snapshot-damaged", "invalid-configuration", "unknown-event"]);

export async function damageCopies(world: World, witness: Witness, copy: () => Copies, prng: Prng): Promise<void> {
  for (let count = 0; count < 2 && world.violations.length === 0; count++) {
    const copies = copy();
    const kind = prng.pick(damageKinds);
    const what = kind.apply(copies, prng);
    if (what === undefined) continue;
    world.note(`damage: ${kind.name}: ${what}`);
    const outcome = await judge(world, witness, { kind, copies, prng, what });
    world.note(`damage: ${outcome ?? "WRONG"}`);
    if (outcome === undefined) continue;
    const counts = (world.damage[kind.name] ??= { detected: 0, harmless: 0, shorter: 0 });
    counts[outcome]++;
  }
}

interface Case {
  readonly kind: DamageKind;
  readonly copies: Copies;
  readonly prng: Prng;
  readonly what: string;
}

/** @returns undefined if a promise was violated */
async function judge(world: World, witness: Witness, damage: Case): Promise<DamageOutcome | undefined> {
  const { copies, prng, kind, what } = damage;
  const wrong = (detail: string) => {
    world.violated(damagePromise, `${kind.name}: ${what}: ${detail}`);
    return undefined;
  };
  const known = copies.known();
  const first = await liveOver(world, copies, { work: true });
  if (first.refused !== undefined) return isRefusal(first.refused) ? "detected" : wrong(tell(first.refused));
  const { shorter, problem } = compare(world, witness, first, kind.endsLog);
  if (problem !== undefined) return wrong(problem);
  for (const [shard, end] of known) {
    const tail = first.tails[shard] ?? 0;
    if (end > tail) return wrong(`shard ${shard} is served from ${tail}, though records up to ${end} were stored`);
  }
  if (shorter && !kind.endsLog) return wrong("the node shows what was before");
  // what was built on top of the damage must be as good
  if (prng.chance(0.5)) copies.state.lose();
  const second = await liveOver(world, copies, { work: false });
  if (second.refused !== undefined) return isRefusal(second.refused) ? "detected" : wrong(tell(second.refused));
  if (shorter) return "shorter";
  const changed = first.after.findIndex((state, index) => state !== second.before[index]);
  if (changed >= 0) return wrong(`after one more restart ${second.before[changed]}, before it ${first.after[changed]}`);
  return first.told + second.told > 0 ? "detected" : "harmless";
}

function tell(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : "something that is no error";
}

function isRefusal(error: unknown): boolean {
  return isHoldfastError(error) && refusals.has(error.code);
}

/**
 * What is shown must be what the log said, at its end or, if that is gone, at what is its end now. What a node with a shorter
 * log goes on to record (timers that had fired, sends that had arrived) is another history, from that end on.
 */
function compare(
  world: World,
  witness: Witness,
  life: Life,
  endsLog: boolean,
): { readonly shorter: boolean; readonly problem?: string } {
  let shorter = false;
  for (const [index, entity] of allEntities(world.swarm).entries()) {
    const name = formatRef(entity);
    const model = witness.entity(name);
    const [version, state] = JSON.parse(life.before[index] ?? "[]") as [number, unknown];
    const known = model.states.get(version);
    const shard = shardOf(entity.type, entity.key, world.swarm.shardCount);
    const tail = life.tails[shard] ?? 0;
    if (endsLog && version >= tail) {
      shorter = true;
      continue;
    }
    const trimmed = world.deployments.isTrimmed(shard);
    const shown = JSON.stringify(state);
    const fits =
      known !== undefined &&
      (entity.type === "sapling"
        ? saplingStates(world.deployments.generation, JSON.parse(known) as SaplingFacts, trimmed).includes(shown)
        : known === shown);
    if (!fits) return { shorter, problem: `${name} shows ${life.before[index]}, the log says ${known}` };
    if (version < model.version) shorter = true;
    for (const newer of model.states.keys())
      if (newer > version && newer < tail) return { shorter, problem: `${name} shows ${version}, not ${newer}` };
  }
  return { shorter };
}
