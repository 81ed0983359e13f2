/**
 * Which pages may call. A browser says in `Origin` whose page is asking; anything else need not say and is not trusted
 * for it.
 *
 * Invariant: a request with an `Origin` that is not on the list is refused whatever else it carries. On a loopback
 * address `Host` must name it too: a page whose name was pointed at 127.0.0.1 sends no `Origin` with a GET.
 */
import type { IncomingMessage } from "node:http";
import { HoldfastError } from "../model/errors.ts";
import type { DoorList } from "./doors.ts";

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]", "::1"]);

export function isLoopback(host: string): boolean {
  return loopback.has(host);
}

export class Origins {
  readonly #allowed: ReadonlySet<string>;
  readonly #doors: DoorList | undefined;
  /** Host names that may stand in `Host`; undefined when any may. */
  readonly #hosts: ReadonlySet<string> | undefined;

  /** @throws `invalid-configuration` something on the list is not an origin */
  constructor(host: string, port: number, allowedOrigins: readonly string[], doors?: DoorList) {
    this.#doors = doors;
    const near = isLoopback(host);
    const names = near || host === "0.0.0.0" || host === "::" ? ["127.0.0.1", "localhost", "[::1]"] : [bracket(host)];
    const allowed = new Set(names.map((name) => new URL(`http://${name}:${port}`).origin));
    for (const origin of allowedOrigins) {
      if (!URL.canParse(origin) || new URL(origin).origin !== origin || origin === "null") {
        throw new HoldfastError(
          "invalid-configuration",
          "One of `allowedOrigins` is not an origin; write https://example.org, without a path.",
        );
      }
      allowed.add(origin);
    }
    this.#allowed = allowed;
    this.#hosts = near ? new Set([...allowed].map((origin) => new URL(origin).hostname)) : undefined;
  }

  /** The request's origin, which is allowed; undefined if it has none. @throws `origin-refused` */
  check(request: IncomingMessage): string | undefined {
    const { origin, host } = request.headers;
    if (this.#hosts !== undefined && host !== undefined && !this.#hosts.has(hostName(host))) {
      throw new HoldfastError(
        "origin-refused",
        "The host name of the request is not this gateway's; list its origin in `allowedOrigins`.",
      );
    }
    if (origin === undefined) return undefined;
    if (!this.#allowed.has(origin) && this.#doors?.served(origin) !== true)
      throw new HoldfastError("origin-refused", "Pages of this origin may not call; list it in `allowedOrigins`.");
    return origin;
  }
}

function bracket(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

function hostName(host: string): string {
  return host.replace(/:\d*$/, "").toLowerCase();
}
