/**
 * The simulated operator: looks for parked calls now and then, and has them tried again or drops them.
 *
 * Invariant: it knows the node's answers only; what it was told is done must be in the log.
 */
import { formatRef } from "../model/ids.ts";
import type { CallOrder } from "../model/records.ts";
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
    const verb = world.prng.chance(0.7) ? "retry" : "drop";
    const order: CallOrder = { entity, id, verb, principal: { kind: "operator", id: "op" } };
    const name = `${formatRef(entity)} ${id.at}.${id.index}`;
    world.note(`operator: ${verb} ${name}`);
    node.operateCall(order, (result) => {
      if (result.ok && verb === "drop" && world.outside.isOpen(name))
        world.violated("replies rest on durable records", `${name} was dropped, but not in the log`);
    });
  }
}
