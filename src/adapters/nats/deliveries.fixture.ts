/** A process that delivers to NATS until it is killed. Arguments: batches, epoch, server, stream. */
import { deliverUntil } from "../system/deliveries.harness.ts";
import { natsSink } from "./sink.ts";

const [until, epoch, servers = "", stream = ""] = process.argv.slice(2);
// Small atomic batches, so that some batches take several.
const limits = { messagesMax: 32 };
await deliverUntil(Number(until), Number(epoch), () =>
  natsSink({ connection: { servers }, stream, prefix: stream, limits }),
);
process.stdout.write("done\n");
