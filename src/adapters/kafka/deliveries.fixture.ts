/** A process that delivers to Kafka until it is killed. Arguments: batches, epoch, brokers, topic. */
import { deliverUntil } from "../system/deliveries.harness.ts";
import { kafkaSink } from "./sink.ts";

const [until, epoch, broker = "", topic = ""] = process.argv.slice(2);
const connection = { bootstrapBrokers: [broker] };
// Small requests, so that most batches take several.
const limits = { requestBytes: 4_096 };
const create = { partitions: 2 };
await deliverUntil(Number(until), Number(epoch), () => kafkaSink({ connection, topic, create, limits }));
process.stdout.write("done\n");
