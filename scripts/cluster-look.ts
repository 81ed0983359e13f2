/**
 * What `npm run cluster` shows each second: the cluster as any of its nodes tells it, and how much is done.
 *
 * Invariant: it only looks; a node that does not answer in time is shown as not answering, and asked again.
 */
import type { ClusterView } from "../src/model/cluster-view.ts";
import type { Figures } from "../src/runtime/service.ts";
import type { NodeProcess } from "./cluster-nodes.ts";

const answerMs = 800;

export interface NodeLook {
  readonly node: string;
  readonly url: string;
  readonly pid: number | undefined;
  /** It serves, and answered in time. */
  readonly up: boolean;
  readonly coordinator: boolean;
  readonly draining: boolean;
  /** Shards, by number. */
  readonly owns: readonly number[];
  readonly follows: readonly number[];
  readonly commandsPerSecond: number;
}

export interface Look {
  readonly seconds: number;
  readonly nodes: readonly NodeLook[];
  readonly shards: { readonly all: number; readonly owned: number; readonly followed: number; readonly moving: number };
  readonly commandsPerSecond: number;
  readonly moves: number;
  readonly failovers: number;
}

export class Looker {
  readonly #nodes: readonly NodeProcess[];
  readonly #token: string;
  /** Of each running: commands, and when they were counted. */
  readonly #before = new Map<string, { readonly commands: number; readonly atMs: number }>();
  readonly #startedMs = performance.now();

  constructor(nodes: readonly NodeProcess[], token: string) {
    this.#nodes = nodes;
    this.#token = token;
  }

  async look(): Promise<Look> {
    const figures = await Promise.all(this.#nodes.map((node) => this.#ask<Figures>(node, "status")));
    const view = await this.#view();
    const nodes = this.#nodes.map((node, at) => this.#node(node, figures[at], view));
    const shards = view?.shards ?? [];
    const sum = (of: (one: Figures) => number) =>
      figures.reduce((all, one) => all + (one === undefined ? 0 : of(one)), 0);
    const up = new Set(nodes.filter((node) => node.up).map(({ node }) => node));
    return {
      seconds: Math.round((performance.now() - this.#startedMs) / 1_000),
      nodes,
      shards: {
        all: shards.length,
        owned: shards.filter(({ owner }) => owner !== undefined && up.has(owner)).length,
        followed: shards.filter(({ standbys }) => standbys.some(({ node, ready }) => ready && up.has(node))).length,
        moving: shards.filter(({ to }) => to !== undefined).length,
      },
      commandsPerSecond: nodes.reduce((all, node) => all + node.commandsPerSecond, 0),
      moves: sum(({ cluster }) => cluster?.movesTaken ?? 0),
      failovers: sum(({ cluster }) => cluster?.failovers ?? 0),
    };
  }

  /** An operator's verb, at any node that takes it. @returns what came of it, for people */
  async ask(verb: string, body: object): Promise<string> {
    for (const node of this.#nodes) {
      if (!node.ready) continue;
      const response = await this.#fetch(node, `cluster/${verb}`, { method: "POST", body: JSON.stringify(body) });
      if (response?.ok === true) return "done";
      if (response !== undefined) return ((await response.json()) as { detail?: string }).detail ?? "refused";
    }
    return "no node answers";
  }

  async #view(): Promise<ClusterView | undefined> {
    for (const node of this.#nodes) {
      const view = await this.#ask<ClusterView>(node, "cluster");
      if (view !== undefined) return view;
    }
    return undefined;
  }

  #node(node: NodeProcess, figures: Figures | undefined, view: ClusterView | undefined): NodeLook {
    const { name, url, pid } = node;
    const seen = view?.nodes.find((one) => one.node === name);
    const shards = view?.shards ?? [];
    return {
      ...{ node: name, url, pid, up: figures !== undefined },
      coordinator: seen?.coordinator === true,
      draining: seen?.info.draining === true,
      owns: shards.filter(({ owner }) => owner === name).map(({ shard }) => shard),
      follows: shards.filter(({ standbys }) => standbys.some((one) => one.node === name)).map(({ shard }) => shard),
      commandsPerSecond:
        figures === undefined ? 0 : this.#rate(`${name} ${figures.cluster?.generation ?? 0}`, figures.commands),
    };
  }

  #rate(running: string, commands: number): number {
    const nowMs = performance.now();
    const before = this.#before.get(running);
    this.#before.set(running, { commands, atMs: nowMs });
    if (before === undefined) return 0;
    return Math.round((1_000 * (commands - before.commands)) / Math.max(1, nowMs - before.atMs));
  }

  async #ask<Answer>(node: NodeProcess, path: string): Promise<Answer | undefined> {
    if (!node.ready) return undefined;
    const response = await this.#fetch(node, path, {});
    return response?.ok === true ? ((await response.json()) as Answer) : undefined;
  }

  async #fetch({ url }: NodeProcess, path: string, init: RequestInit): Promise<Response | undefined> {
    const headers = { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" };
    try {
      return await fetch(`${url}/v1/operator/${path}`, { ...init, headers, signal: AbortSignal.timeout(answerMs) });
    } catch {
      return undefined;
    }
  }
}

/** For a terminal. */
export function screenOf(look: Look, notes: readonly string[]): string {
  const { nodes, shards, commandsPerSecond, moves, failovers } = look;
  const lines = [
    "Teen Patti on a cluster of three nodes and PostgreSQL. Open any door in the browser; play on at another when it dies.",
    "",
    `node  state      owns  follows  commands/s  door${" ".repeat(20)}shards`,
    ...nodes.map((node) => {
      const cells = [
        node.node.padEnd(4),
        stateOf(node).padEnd(9),
        String(node.owns.length).padStart(4),
        String(node.follows.length).padStart(7),
        String(node.commandsPerSecond).padStart(10),
        node.url.padEnd(22),
        rangesOf(node.owns),
      ];
      return `${cells.join("  ")}${node.coordinator ? "  (coordinates)" : ""}`;
    }),
    "",
    `${shards.owned} of ${shards.all} shards owned, ${shards.followed} with a standby that is ready, ${shards.moving} moving; ${commandsPerSecond} commands/s; ${moves} moves, ${failovers} failovers`,
    "",
    ...notes,
    "",
    "keys: 1 2 3 kills that node (SIGKILL; it comes back)   m moves a shard   d drains n2, or ends that   q quits",
  ];
  return `\u001B[H\u001B[2J${lines.join("\n")}\n`;
}

/** One line, where there is no terminal. */
export function lineOf({ seconds, nodes, shards, commandsPerSecond, moves, failovers }: Look): string {
  const each = nodes
    .map((node) => `${node.node} ${stateOf(node)} ${node.owns.length}+${node.follows.length}`)
    .join(", ");
  return `${seconds} s: ${each}; ${shards.owned}/${shards.all} owned, ${shards.followed} followed, ${shards.moving} moving; ${commandsPerSecond} commands/s; ${moves} moves, ${failovers} failovers`;
}

function stateOf({ pid, up, draining }: NodeLook): string {
  if (pid === undefined) return "down";
  if (!up) return "no answer";
  return draining ? "draining" : "serving";
}

/** `0-3,7` */
function rangesOf(shards: readonly number[]): string {
  const ranges: string[] = [];
  for (let at = 0; at < shards.length; ) {
    let end = at;
    while (shards[end + 1] === (shards[end] as number) + 1) end++;
    ranges.push(end === at ? String(shards[at]) : `${shards[at]}-${shards[end]}`);
    at = end + 1;
  }
  return ranges.join(",") || "-";
}
