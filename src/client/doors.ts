/**
 * The doors that a client knows, and which of them to dial next.
 *
 *   good -> resting -> good     (it failed; left alone for a time that doubles, longer if finding out took long)
 *
 * Doors that were *given* stay; those that were *learned* from a server are replaced by what the next server says. Their order is
 * chance, another one in each client, so that the clients of a door that died spread over the others.
 *
 * Invariants: a door that rests is dialled only if all rest, and then the one whose rest ends first; a client that was given
 * secured addresses alone never learns another kind, so a token that went out encrypted stays so; at most `doorsMax` are known.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Random } from "../ports/clock.ts";
import { clientLimits } from "./limits.ts";
import { backoffMs } from "./retry.ts";

const socketPath = "/v1/socket";

interface Door {
  readonly url: string;
  readonly given: boolean;
  failures: number;
  /** By the monotonic clock. */
  restUntilMs: number;
}

export class Doors {
  readonly #random: Random;
  readonly #securedOnly: boolean;
  /** In the order of dialling, round and round. */
  #doors: Door[] = [];
  #last = -1;

  /** @throws `invalid-configuration` an address cannot work, or there is none */
  constructor(given: string | readonly string[], random: Random) {
    this.#random = random;
    const urls = new Set((typeof given === "string" ? [given] : given).map(doorUrl));
    if (urls.size === 0 || urls.size > clientLimits.doorsMax)
      throw new HoldfastError("invalid-configuration", `\`url\` is 1 to ${clientLimits.doorsMax} addresses.`);
    this.#securedOnly = [...urls].every(isSecured);
    for (const url of urls) this.#insert({ url, given: true, failures: 0, restUntilMs: 0 });
  }

  /** There is somewhere else to go. */
  get several(): boolean {
    return this.#doors.length > 1;
  }

  /** The door to dial and how long to wait before. `hurry`: a door that rests is dialled now, if there is no better one. */
  next(nowMs: number, hurry: boolean): { readonly url: string; readonly waitMs: number } {
    const count = this.#doors.length;
    let at = -1;
    let restUntilMs = Number.POSITIVE_INFINITY;
    for (let step = 1; step <= count; step++) {
      const index = (this.#last + step) % count;
      const door = this.#doors[index] as Door;
      if (door.restUntilMs >= restUntilMs) continue;
      at = index;
      restUntilMs = door.restUntilMs <= nowMs ? Number.NEGATIVE_INFINITY : door.restUntilMs;
    }
    this.#last = at;
    const { url } = this.#doors[at] as Door;
    if (hurry) return { url, waitMs: 0 };
    if (restUntilMs > nowMs) return { url, waitMs: restUntilMs - nowMs };
    return { url, waitMs: backoffMs(0, { baseMs: clientLimits.moveMs, maxMs: clientLimits.moveMs }, this.#random) };
  }

  /** The door that was dialled last is tried first again. */
  stay(): void {
    this.#last = this.#last <= 0 ? this.#doors.length - 1 : this.#last - 1;
  }

  /** It could be reached, and for long enough to count. */
  worked(url: string): void {
    const door = this.#doors.find((one) => one.url === url);
    if (door !== undefined) door.failures = 0;
  }

  /** @param costMs what it took to find out */
  failed(url: string, nowMs: number, costMs: number): void {
    const door = this.#doors.find((one) => one.url === url);
    if (door === undefined) return;
    const { reconnectBaseMs: baseMs, reconnectMaxMs: maxMs, restPerCost } = clientLimits;
    const restMs = this.several ? Math.min(maxMs, costMs * restPerCost) : 0;
    door.restUntilMs = nowMs + restMs + backoffMs(door.failures++, { baseMs, maxMs }, this.#random);
  }

  /** What a server says the doors are. What is no address, or one too many, is left out. */
  learn(urls: readonly string[]): void {
    const told = new Set<string>();
    for (const text of urls) {
      const url = usableUrl(text);
      if (url !== undefined && (!this.#securedOnly || isSecured(url))) told.add(url);
    }
    const last = this.#doors[this.#last];
    this.#doors = this.#doors.filter((door) => door.given || told.has(door.url));
    const known = new Set(this.#doors.map((door) => door.url));
    for (const url of told) {
      if (this.#doors.length >= clientLimits.doorsMax) break;
      if (!known.has(url)) this.#insert({ url, given: false, failures: 0, restUntilMs: 0 });
    }
    this.#last = last === undefined ? this.#last % this.#doors.length : this.#doors.indexOf(last);
  }

  #insert(door: Door): void {
    const [high = 0, low = 0] = this.#random.bytes(2);
    this.#doors.splice((high * 256 + low) % (this.#doors.length + 1), 0, door);
  }
}

/** @throws `invalid-configuration` */
function doorUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw new HoldfastError("invalid-configuration", "`url` is not an absolute URL.", { cause: error });
  }
  if (url.protocol === "https:") url.protocol = "wss:";
  if (url.protocol === "http:") url.protocol = "ws:";
  if (url.protocol !== "wss:" && url.protocol !== "ws:")
    throw new HoldfastError("invalid-configuration", "`url` starts with wss:, ws:, https: or http:.");
  if (url.pathname === "/") url.pathname = socketPath;
  url.hash = "";
  return url.href;
}

function usableUrl(text: string): string | undefined {
  try {
    return doorUrl(text);
  } catch {
    return undefined;
  }
}

function isSecured(url: string): boolean {
  return url.startsWith("wss:");
}
