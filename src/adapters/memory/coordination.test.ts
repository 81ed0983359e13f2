/**
 * Coordination in memory passes the contract suite, on the machine's clock.
 */
import { testCoordination } from "../../ports/coordination.contract.ts";
import { systemClock } from "../system/clock.ts";
import { createCoordinationStore, openMemoryCoordination } from "./coordination.ts";

testCoordination("memory", async () => {
  const store = createCoordinationStore(systemClock);
  const open = () => openMemoryCoordination(store, 5);
  const clients = [open()];
  return {
    coordination: clients[0] as (typeof clients)[0],
    async client() {
      const client = open();
      clients.push(client);
      return client;
    },
    pass: (ms) => new Promise((resolve) => systemClock.after(ms, resolve)),
    async dispose() {
      await Promise.all(clients.map((client) => client.close()));
    },
  };
});
