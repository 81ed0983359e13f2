/**
 * The doors of this service, as clients are told of them: what a client goes on with when this door dies.
 *
 * Invariants: only addresses of doors are told, at most `doorsToldMax`; the origin of a door stays allowed as long as this
 * gateway runs (at most `doorOriginsMax` of them), because pages outlive the door that served them.
 */
import type { Limits } from "../model/limits.ts";
import type { Random } from "../ports/clock.ts";
import type { GatewayProblem } from "./options.ts";

type Report = (problem: GatewayProblem) => void;

const origin = /^https?:\/\/[A-Za-z0-9.:[\]-]+$/;

export class DoorList {
  readonly #ask: () => readonly string[];
  readonly #limits: Limits;
  readonly #random: Random;
  readonly #report: Report;
  readonly #origins = new Set<string>();
  #given = "";
  #told: readonly string[] = [];

  /** @throws what `ask` throws; later that is reported, and the doors are taken for what they were */
  constructor(ask: () => readonly string[], limits: Limits, random: Random, report: Report) {
    this.#ask = ask;
    this.#limits = limits;
    this.#random = random;
    this.#report = report;
    this.#take(ask());
  }

  /** What clients are told. */
  get told(): readonly string[] {
    return this.#told;
  }

  /** Looks what the doors are now. @returns whether clients are to be told */
  look(): boolean {
    try {
      return this.#take(this.#ask());
    } catch (error) {
      this.#report({
        where: "doors",
        code: "internal",
        thrown: error instanceof Error ? error.name : typeof error,
      });
      return false;
    }
  }

  #take(given: readonly string[]): boolean {
    const text = JSON.stringify(given);
    if (text === this.#given) return false;
    this.#given = text;
    const doors = [...new Set(given)].filter((door) => originOf(door) !== undefined);
    const { doorsToldMax, doorOriginsMax } = this.#limits;
    // Of very many each gateway tells others, so that clients that go on spread over all.
    const [high = 0, low = 0] = this.#random.bytes(2);
    const from = doors.length > doorsToldMax ? (high * 256 + low) % doors.length : 0;
    this.#told = [...doors.slice(from), ...doors.slice(0, from)].slice(0, doorsToldMax);
    for (const door of doors) {
      const name = originOf(door) as string;
      this.#origins.delete(name);
      this.#origins.add(name);
    }
    for (const oldest of this.#origins) {
      if (this.#origins.size <= doorOriginsMax) break;
      this.#origins.delete(oldest);
    }
    return true;
  }

  /** A page of this origin was served by a door of this service. */
  served(name: string): boolean {
    if (this.#origins.has(name)) return true;
    return this.look() && this.#origins.has(name);
  }

  /** For a page's policy: what it may connect to beside where it came from. Brackets of an IPv6 address have no place there. */
  get sources(): string {
    let sources = "";
    for (const door of this.#told) {
      const name = originOf(door) as string;
      if (!name.includes("[")) sources += ` ${name} ${name.replace(/^http/, "ws")}`;
    }
    return sources;
  }
}

function originOf(door: string): string | undefined {
  if (!URL.canParse(door)) return undefined;
  const name = new URL(door).origin;
  return origin.test(name) ? name : undefined;
}
