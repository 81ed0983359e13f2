/** Messages between nodes as lines of a trace. */
import type { NodeRef } from "../../model/cluster.ts";
import type { PeerMessage } from "../../ports/transport.ts";

const charsMax = 300;

/** `n0.1 > n1.2 take shard 3 epoch 1 at 7` */
export function describeMessage(from: NodeRef, to: NodeRef, { body, bytes }: PeerMessage): string {
  const { t, ...rest } = body as Record<string, unknown>;
  const fields = Object.entries(rest).map(([name, value]) => `${name} ${textOf(value)}`);
  const frame = bytes === undefined ? [] : [`${bytes.length} bytes`];
  const line = [`${nameOf(from)} > ${nameOf(to)}`, String(t), ...fields, ...frame].join(" ");
  return line.length > charsMax ? `${line.slice(0, charsMax)}…` : line;
}

function nameOf({ node, generation }: NodeRef): string {
  return `${node}.${generation}`;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
