/**
 * A network of its own for each node: network namespaces on one bridge, and packet filters that drop what goes between chosen ends, both
 * ways or one way. Linux, root, and the programs `ip` and `nft` are needed.
 *
 * Invariant: everything made here bears the process id of its maker, and is removed by `close`; what a killed maker left is removed by
 * the next one.
 */
import { spawnSync } from "node:child_process";
import { networkInterfaces } from "node:os";

/** Who is on the other side of a node's network. */
export type End = { readonly kind: "node"; readonly index: number } | { readonly kind: "database" | "clients" };

/** Which packets of a node are dropped: those it sends, those that come, or all. */
export type Direction = "out" | "in" | "both";

export interface Cut {
  readonly node: number;
  readonly end: End;
  readonly direction: Direction;
}

export interface Network {
  /** Where the machine is reached from the nodes. */
  readonly host: string;
  readonly hostOf: (node: number) => string;
  /** Begins the command line of a program that is to run in the node's network. */
  readonly commandOf: (node: number) => readonly string[];
  /** Replaces what is cut. `ports` tell database and doors apart, since both are met at `host`. */
  readonly cut: (cuts: readonly Cut[], ports: { readonly database: number; readonly door: number }) => void;
  readonly close: () => void;
}

/** Interface names have 15 letters at most. */
const prefix = "hfc";

/**
 * Why there is no network to cut; undefined if there is. @throws in CI the programs are missing, which can be installed; a container that
 * may make no namespaces cannot be helped, there either.
 */
export function networkSkipReason(): string | undefined {
  // Where Debian has them; not everybody's path says so.
  process.env["PATH"] = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  if (process.platform !== "linux") return `network namespaces are Linux's, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "network namespaces need root";
  for (const program of ["ip", "nft"]) {
    const { error } = spawnSync(program, ["-V"], { stdio: "ignore" });
    if (error === undefined) continue;
    const reason = `the program ${program} is missing (apt-get install iproute2 nftables)`;
    if (process.env["CI"] === "true") throw new Error(reason);
    return reason;
  }
  const probe = `${prefix}${process.pid}p`;
  const made = spawnSync("ip", ["netns", "add", probe], { encoding: "utf8" });
  if (made.status !== 0) return `a network namespace could not be made: ${made.stderr.trim()}`;
  const filter = spawnSync("ip", ["netns", "exec", probe, "nft", "add", "table", "inet", "probe"], {
    encoding: "utf8",
  });
  spawnSync("ip", ["netns", "del", probe]);
  return filter.status === 0 ? undefined : `no packet filter could be made: ${filter.stderr.trim()}`;
}

export function openNetwork(nodes: number): Network {
  removeLeftovers();
  const bridge = `${prefix}${process.pid}b`;
  const base = freeBase();
  const host = `${base}.1`;
  const hostOf = (node: number) => `${base}.${10 + node}`;
  const space = (node: number) => `${prefix}${process.pid}n${node}`;
  const names = Array.from({ length: nodes }, (_, node) => space(node));
  const close = () => remove(names, bridge);
  try {
    ip("link", "add", bridge, "type", "bridge");
    ip("addr", "add", `${host}/24`, "dev", bridge);
    ip("link", "set", bridge, "up");
    for (const [node, name] of names.entries()) {
      ip("netns", "add", name);
      // Goes with its other end, which goes with the namespace.
      ip("link", "add", `${prefix}${process.pid}v${node}`, "type", "veth", "peer", "name", "eth0", "netns", name);
      ip("link", "set", `${prefix}${process.pid}v${node}`, "master", bridge, "up");
      ip("-n", name, "addr", "add", `${hostOf(node)}/24`, "dev", "eth0");
      ip("-n", name, "link", "set", "eth0", "up");
      ip("-n", name, "link", "set", "lo", "up");
    }
  } catch (error) {
    close();
    throw error;
  }
  process.once("exit", close);
  return {
    host,
    hostOf,
    commandOf: (node) => ["ip", "netns", "exec", space(node)],
    cut(cuts, ports) {
      for (const [node, name] of names.entries()) {
        const rules = cuts.filter((cut) => cut.node === node).flatMap((cut) => rulesOf(cut, { host, hostOf, ports }));
        filter(name, rules);
      }
    },
    close() {
      process.off("exit", close);
      close();
    },
  };
}

interface Places {
  readonly host: string;
  readonly hostOf: (node: number) => string;
  readonly ports: { readonly database: number; readonly door: number };
}

interface Rule {
  readonly chain: "in" | "out";
  readonly text: string;
}

function rulesOf({ end, direction }: Cut, { host, hostOf, ports }: Places): Rule[] {
  const other = end.kind === "node" ? hostOf(end.index) : host;
  const [toPort, fromPort] =
    end.kind === "node"
      ? ["", ""]
      : end.kind === "database"
        ? [`tcp dport ${ports.database}`, `tcp sport ${ports.database}`]
        : [`tcp sport ${ports.door}`, `tcp dport ${ports.door}`];
  const rules: Rule[] = [];
  if (direction !== "in") rules.push({ chain: "out", text: `ip daddr ${other} ${toPort} drop` });
  if (direction !== "out") rules.push({ chain: "in", text: `ip saddr ${other} ${fromPort} drop` });
  return rules;
}

/** All rules of a namespace are replaced in one step. */
function filter(name: string, rules: readonly Rule[]): void {
  const chain = (of: Rule["chain"], hook: string) => {
    const texts = rules.filter((rule) => rule.chain === of).map(({ text }) => `    ${text}\n`);
    return `  chain ${of} {\n    type filter hook ${hook} priority 0; policy accept;\n${texts.join("")}  }\n`;
  };
  const script = `table inet cut\ndelete table inet cut\ntable inet cut {\n${chain("in", "input")}${chain("out", "output")}}\n`;
  const { status, stderr } = spawnSync("ip", ["netns", "exec", name, "nft", "-f", "-"], {
    input: script,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`nft refused the rules of ${name}: ${stderr}`);
}

function ip(...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")} failed: ${error?.message ?? stderr}`);
}

function remove(names: readonly string[], bridge: string): void {
  for (const name of names) spawnSync("ip", ["netns", "del", name], { stdio: "ignore" });
  spawnSync("ip", ["link", "del", bridge], { stdio: "ignore" });
}

/** A part of the private network 10.0.0.0/8 that no interface of this machine is in. */
function freeBase(): string {
  const taken = Object.values(networkInterfaces()).flatMap(
    (addresses) => addresses?.map(({ address }) => address) ?? [],
  );
  for (let attempt = 0; attempt < 4_000; attempt++) {
    const number = process.pid * 7 + attempt;
    const base = `10.${200 + (number % 50)}.${(number >> 3) % 250}`;
    if (!taken.some((address) => address.startsWith(`${base}.`))) return base;
  }
  throw new Error("no part of 10.200.0.0/10 is free");
}

function removeLeftovers(): void {
  const listed = spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout ?? "";
  const links = spawnSync("ip", ["-o", "link", "show", "type", "bridge"], { encoding: "utf8" }).stdout ?? "";
  for (const [, name, pid] of listed.matchAll(new RegExp(`^(${prefix}(\\d+)[np]\\d*)\\b`, "gm")))
    if (name !== undefined && !isAlive(Number(pid))) spawnSync("ip", ["netns", "del", name], { stdio: "ignore" });
  for (const [, name, pid] of links.matchAll(new RegExp(`\\b(${prefix}(\\d+)b)\\b`, "g")))
    if (name !== undefined && !isAlive(Number(pid))) spawnSync("ip", ["link", "del", name], { stdio: "ignore" });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
