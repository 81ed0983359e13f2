/**
 * The simulated operator: looks for parked calls now and then, and has them tried again or drops them. While faults come it
 * sometimes drops one that is not parked.
 *
 * Invariant: it knows the node's answers only; what it was told is done must be in the log.
 */
import { formatRef } from "../model/ids.ts";
import type { CallOrder, Principal } from "../model/records.ts";
import type { HoldfastNode } from "../runtime/node.ts";
import type { Server } from "./server.ts";
import type { World } from "./world.ts";

const everyMs = 2_000;

/** Works until the simulation ends. */
export function startCallOperator(world: World, server: Server): void {
  const look = () => {
    const { node } = server;
    if (node !== undefined) void mend(world, node);
    world.timeline.after(everyMs, look);
  };
  world.timeline.after(everyMs, look);
}

async function mend(world: World, node: HoldfastNode): Promise<void> {
  const parked = await node.listCalls({ parked: true }).catch(() => []);
  for (const { entity, id, phase } of parked) {
    if (phase !== "parked") world.violated("answers make sense", `a call that is ${phase} was shown as parked`);
    order(world, node, { entity, id, verb: world.prng.chance(0.7) ? "retry" : "drop", principal });
  }
  if (!world.unlucky(0.3)) return;
  for (const { entity, id } of await node.listCalls().catch(() => []))
    if (world.unlucky(0.3)) order(world, node, { entity, id, verb: "drop", principal });
}

const principal: Principal = { kind: "operator", id: "op" };

function order(world: World, node: HoldfastNode, asked: CallOrder): void {
  const { entity, id, verb } = asked;
  const name = `${formatRef(entity)} ${id.at}.${id.index}`;
  world.note(`operator: ${verb} ${name}`);
  node.operateCall(asked, (result) => {
    if (result.ok && verb === "drop" && world.outside.isOpen(name))
      world.violated("replies rest on durable records", `${name} was dropped, but not in the log`);
  });
}
