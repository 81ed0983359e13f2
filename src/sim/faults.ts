/**
 * When which fault comes.
 *
 * Invariant: no fault comes after `faultsMs`; then the machine is whole: space, clock, network and device.
 */
import type { Engine } from "./engines.ts";
import type { Server } from "./server.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";
import { saveAsZombie } from "./zombie-snapshots.ts";

export function planFaults(world: World, server: Server, engine: Engine, witness: Witness): void {
  const { swarm, prng, timeline } = world;
  const plan = (count: number, fault: () => void) => {
    for (let index = 0; index < count; index++) {
      timeline.after(prng.integer(swarm.faultsMs), () => {
        if (!world.faulty) return;
        world.counts.faults++;
        fault();
      });
    }
  };
  plan(swarm.crashes, () => server.crash("process"));
  plan(swarm.powerCuts, () => server.crash("power"));
  plan(swarm.stops, () => server.stop());
  plan(swarm.zombies, () => engine.claimElsewhere(prng.integer(swarm.shardCount)));
  if (swarm.kept.snapshots) plan(swarm.kept.zombies, () => void saveAsZombie(world, server.kept, witness));
  plan(swarm.ioErrors, () => engine.breakNext());
  plan(swarm.fullPhases, () => {
    server.setFull(true);
    timeline.after(prng.integer(swarm.faultsMs / 2), () => world.faulty && server.setFull(false));
  });
  plan(swarm.clockJumps, () => server.setWall(prng.between(-swarm.jumpMs, swarm.jumpMs)));
}

export function stopFaults(world: World, server: Server): void {
  world.note("faults stop");
  world.faulty = false;
  server.setFull(false);
  if (world.wallErrorMs !== 0) server.setWall(0);
}
