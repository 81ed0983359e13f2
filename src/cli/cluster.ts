/**
 * `holdfast nodes | move | pin | drain`, and `shards --url`: the cluster of a node that runs, as an operator.
 *
 * Invariant: a verb ends with 0 only when what was asked for stands in coordination; any node of the cluster may be asked.
 */
import { type Command, Option } from "commander";
import type { ClusterView, NodeView, ShardView } from "../model/cluster-view.ts";
import { grouped } from "../std/progress.ts";
import { askDoor, type DoorOptions, withDoor } from "./door.ts";
import { print, printJson, safe } from "./print.ts";
import { UsageError } from "./settings.ts";

type MoveOptions = DoorOptions & { readonly to: string };
type PinOptions = DoorOptions & { readonly to?: string; readonly off?: boolean };
type DrainOptions = DoorOptions & { readonly off?: boolean };

const shardsArgument = "numbers of shards, as in 3 or 0-7,12";

export function addCluster(program: Command): void {
  withDoor(program.command("nodes").description("lists the nodes of a cluster: shards, lease, addresses")).action(
    nodes,
  );
  withDoor(program.command("move").description("moves shards to a node, live"))
    .argument("<shards>", shardsArgument)
    .requiredOption("--to <node>", "the node that is to own them")
    .action(move);
  withDoor(program.command("pin").description("keeps shards on a node while it is there; --off takes that back"))
    .argument("<shards>", shardsArgument)
    .addOption(new Option("--to <node>", "the node that is to own them").conflicts("off"))
    .option("--off", "takes the pins back")
    .action(pin);
  withDoor(program.command("drain").description("has a node give its shards away and take none; --off ends that"))
    .argument("<node>", "the name of a node")
    .option("--off", "lets it have shards again")
    .action(drain);
}

async function look(options: DoorOptions): Promise<ClusterView> {
  return (await askDoor(options, { method: "GET", path: ["cluster"] })) as ClusterView;
}

async function nodes(options: DoorOptions): Promise<void> {
  const view = await look(options);
  if (options.json === true) printJson({ self: view.self, nodes: view.nodes });
  else for (const line of nodeLines(view)) print(line);
}

/** What `shards` shows with `--url`. */
export async function clusterShards(options: DoorOptions): Promise<void> {
  const { self, shards } = await look(options);
  if (options.json === true) printJson({ self, shards });
  else for (const line of shardLines(shards)) print(line);
}

async function move(shards: string, { to, ...options }: MoveOptions): Promise<void> {
  const list = shardsOf(shards);
  await act(options, "move", { shards: list, to });
  if (options.json !== true)
    print(`${many(list)} will move to ${to}; \`holdfast shards --url ${options.url}\` shows how far it is.`);
}

async function pin(shards: string, { to, off, ...options }: PinOptions): Promise<void> {
  const list = shardsOf(shards);
  if (to === undefined && off !== true) throw new UsageError("give --to <node>, or --off to take the pins back.");
  await act(options, "pin", { shards: list, to: to ?? null });
  if (options.json !== true)
    print(to === undefined ? `${many(list)} may go anywhere.` : `${many(list)} will stay on ${to} while it is there.`);
}

async function drain(node: string, { off, ...options }: DrainOptions): Promise<void> {
  await act(options, "drain", { node, on: off !== true });
  if (options.json === true) return;
  print(
    off === true ? `${node} takes shards again.` : `${node} gives its shards away and takes none; its door stays open.`,
  );
}

async function act(options: DoorOptions, verb: string, body: object): Promise<void> {
  const answer = await askDoor(options, { method: "POST", path: ["cluster", verb], body });
  if (options.json === true) printJson(answer);
}

function many(shards: readonly number[]): string {
  return shards.length === 1 ? `Shard ${shards[0]}` : `${shards.length} shards`;
}

/** `3`, `0-7,12`. */
function shardsOf(text: string): number[] {
  const shards = new Set<number>();
  for (const part of text.split(",")) {
    const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim()) ?? [];
    if (from === undefined || Number(to) < Number(from))
      throw new UsageError(`shards are numbers such as 3 or 0-7,12, not "${text}".`);
    for (let shard = Number(from); shard <= Number(to); shard++) shards.add(shard);
  }
  return [...shards];
}

export function nodeLines({ self, nodes }: ClusterView): string[] {
  return table(
    ["node", "owns", "follows", "lease", "generation", "zone", "version", "door", "says"],
    nodes.map((node) => {
      const { info } = node;
      const cells = [
        safe(node.node),
        String(node.owns),
        String(node.follows),
        `${grouped(Math.round(node.leaseMs))} ms`,
      ];
      const told = [info.zone, info.version, info.door].map((text) =>
        text === undefined || text === "" ? "-" : safe(text),
      );
      return [...cells, String(node.generation), ...told, notes(node, self)];
    }),
  );
}

function notes({ node, info, leaseMs, coordinator, connected }: NodeView, self: string): string {
  const said = [
    ...(node === self ? ["answers here"] : []),
    ...(coordinator ? ["coordinates"] : []),
    ...(info.draining === true ? ["draining"] : []),
    ...(leaseMs <= 0 ? ["its lease has lapsed"] : []),
    ...(connected ? [] : ["not connected"]),
    ...(info.weight === undefined || info.weight === 1 ? [] : [`weight ${info.weight}`]),
  ];
  return said.join(", ");
}

export function shardLines(shards: readonly ShardView[]): string[] {
  return table(
    ["shard", "owner", "epoch", "tail", "standbys", ""],
    shards.map(({ shard, owner, epoch, tail, standbys, to, pin }) => {
      const follow = standbys
        .map(({ node, lagRecords, ready }) => `${safe(node)} ${state(ready, lagRecords)}`)
        .join(", ");
      const more = [
        ...(to === undefined ? [] : [`moves to ${safe(to)}`]),
        ...(pin === undefined ? [] : [`pinned to ${safe(pin)}`]),
      ];
      const who = owner === undefined ? "nobody" : safe(owner);
      return [String(shard), who, String(epoch), grouped(tail), follow || "none", more.join(", ")];
    }),
  );
}

function state(ready: boolean, lagRecords: number): string {
  if (!ready) return lagRecords === 0 ? "(catching up)" : `(catching up, ${grouped(lagRecords)} behind)`;
  return lagRecords === 0 ? "(ready)" : `(ready, ${grouped(lagRecords)} behind)`;
}

/** Columns as wide as what is in them; numbers to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((cells) => (cells[at] as string).length)));
  const isNumber = head.map(
    (_, at) => rows.length > 0 && rows.every((cells) => /^[\d,. ]+( ms)?$/.test(cells[at] as string)),
  );
  return [head, ...rows].map((cells) =>
    cells
      .map((cell, at) => (isNumber[at] ? cell.padStart(widths[at] as number) : cell.padEnd(widths[at] as number)))
      .join("  ")
      .trimEnd(),
  );
}
