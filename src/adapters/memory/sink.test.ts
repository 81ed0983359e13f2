/** The receiver in memory passes the contract suite of sinks, in each of its modes. */

import { testSink } from "../../ports/sink.contract.ts";
import { idOf } from "../../ports/sink.ts";
import { cloudDataOf } from "../../wire/cloud-events.ts";
import { MemoryReceiver, type MemorySinkMode } from "./sink.ts";

for (const mode of ["exactly once", "at least once"] satisfies MemorySinkMode[]) {
  testSink(
    `memory, ${mode}`,
    async () => {
      const receiver = new MemoryReceiver({ mode });
      return {
        make: () => receiver.sink(),
        arrived: async (subscriber) =>
          receiver.arrived(subscriber).map((item) => ({ id: idOf(item), data: cloudDataOf(item) })),
        loseAnswer: () => receiver.faults.push("lost-answer"),
        cut: () => receiver.faults.push("cut"),
        async down() {
          receiver.isDown = true;
        },
        async up() {
          receiver.isDown = false;
        },
        hang() {
          receiver.faults.push("hang");
          return new Promise((done) => {
            receiver.onHang = done;
          });
        },
        dispose: async () => undefined,
      };
    },
    { promise: mode, whole: mode === "exactly once", keepsCursor: mode === "exactly once" },
  );
}
