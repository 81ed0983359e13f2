/**
 * A real Kafka for tests: Apache Kafka from its jars, one process that is broker and controller (KRaft), one per test file.
 *
 * The jars are in `artefacts/kafka`, and `java` on the path. Without them the tests are skipped with the command that fetches them,
 * except in CI, where their absence is a failure.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Consumer,
  FetchIsolationLevels,
  ListOffsetTimestamps,
  listTransactionsV1,
  Producer,
} from "@platformatic/kafka";
import type { Plain } from "../../std/plain.ts";
import { artefacts, findProgram, freePorts, type Program, startProgram } from "../system/program.harness.ts";
import { type FaultProxy, startFaultProxy } from "../system/proxy.harness.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import type { KafkaTopicSettings } from "./sink.ts";
import { kafkaTap } from "./wiretap.harness.ts";

export const kafkaCommand = "mvn -q -B -f .ci/kafka-pom.xml dependency:copy-dependencies (and Java 17 or later)";

/** How tests have topics made. */
export const made: KafkaTopicSettings = { partitions: 3 };

const jars = join(artefacts, "kafka");

function isHere(): boolean {
  const hasJars = existsSync(jars) && readdirSync(jars).some((name) => name.startsWith("kafka_2.13-"));
  return hasJars && findProgram("java") !== undefined;
}

/** Why the tests cannot run here; undefined if they can, or must. */
export function kafkaSkipReason(): string | undefined {
  if (isHere() || process.env["CI"] === "true") return undefined;
  return `no Kafka is here; fetch it: ${kafkaCommand}`;
}

export interface KafkaRecord {
  readonly id: string;
  readonly partition: number;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: Plain;
}

export interface KafkaServer {
  readonly brokers: string[];
  /** As seen through the proxy. */
  readonly spoiled: string[];
  readonly proxy: FaultProxy;
  /** Committed records of a topic, part by part; none if there is no such topic. */
  readonly records: (topic: string) => Promise<KafkaRecord[]>;
  /** The same by Kafka's own consumer, with `isolation.level=read_committed`. */
  readonly consumed: (topic: string) => Pick<KafkaRecord, "id" | "partition">[];
  /** SIGKILL. */
  readonly crash: () => Promise<void>;
  /** After a crash: on the same ports, over the same files. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

// A small heap, and the quick compiler only: a test's broker lives for seconds.
const flags = ["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", join(jars, "*")];

export interface KafkaServerOptions {
  /** With passwords, and rights that are granted one by one; an administrator may do everything. */
  readonly guarded?: boolean;
}

export const administrator = { mechanism: "PLAIN", username: "admin", password: "a" } as const;
export const limited = { mechanism: "PLAIN", username: "sink", password: "s" } as const;

export async function startKafka({ guarded = false }: KafkaServerOptions = {}): Promise<KafkaServer> {
  if (!isHere()) throw new Error(`Kafka is missing; fetch it: ${kafkaCommand}`);
  const directory = temporaryDirectory();
  const [direct = 0, behind = 0, controller = 0] = await freePorts(3);
  const proxy = await startFaultProxy(behind, kafkaTap);
  const file = join(directory.path, "server.properties");
  const ports = { direct, behind, controller, proxied: proxy.port };
  const text = settings(ports, join(directory.path, "data"));
  writeFileSync(file, guarded ? text.replace(openly, guardedSettings) : text);
  const format = ["kafka.tools.StorageTool", "format", "--cluster-id", "aG9sZGZhc3QtdGVzdHMtMA", "--config", file];
  const formatted = spawnSync("java", [...flags, ...format], { encoding: "utf8" });
  if (formatted.status !== 0) throw new Error(`Kafka's files could not be made: ${formatted.stderr}`);
  const brokers = [`127.0.0.1:${direct}`];
  const run = async () => {
    const program = await startProgram("java", [...flags, "kafka.Kafka", file], direct);
    await untilCoordinating(brokers, guarded);
    return program;
  };
  let program: Program = await run();
  return {
    brokers,
    spoiled: [`127.0.0.1:${proxy.port}`],
    proxy,
    records: (topic) => readCommitted(brokers, topic),
    consumed: (topic) => consume(brokers, topic),
    crash: () => program.kill(),
    async start() {
      program = await run();
    },
    async stop() {
      await proxy.stop();
      await program.kill();
      directory.remove();
    },
  };
}

/** A broker takes connections before it knows that it is the coordinator of transactions. */
async function untilCoordinating(bootstrapBrokers: string[], guarded: boolean): Promise<void> {
  const sasl = guarded ? { sasl: administrator } : {};
  const base = { clientId: "tests", bootstrapBrokers, retries: 500, retryDelay: 20, ...sasl };
  const fresh = { producerId: -1n, producerEpoch: -1 };
  const producer = new Producer({ ...base, idempotent: true, transactionalId: "tests", ...fresh });
  await producer.beginTransaction();
  await producer.close(true);
}

interface Ports {
  readonly direct: number;
  readonly behind: number;
  readonly controller: number;
  readonly proxied: number;
}

/** Two listeners: one that tells clients its own port, and one that tells them the proxy's. */
function settings({ direct, behind, controller, proxied }: Ports, data: string): string {
  return `
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controller}
listeners=DIRECT://127.0.0.1:${direct},PROXIED://127.0.0.1:${behind},CONTROLLER://127.0.0.1:${controller}
advertised.listeners=DIRECT://127.0.0.1:${direct},PROXIED://127.0.0.1:${proxied}
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,DIRECT:PLAINTEXT
log.dirs=${data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1000
`;
}

/** In place of the listeners' protocols: the clients' listener asks for a password. */
const openly = "DIRECT:PLAINTEXT";
const guardedSettings = `DIRECT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
listener.name.direct.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  username="admin" password="a" user_admin="a" user_sink="s";`;

/** Which transactions were committed is read from the markers in the topic. */
async function readCommitted(brokers: string[], topic: string): Promise<KafkaRecord[]> {
  const base = { clientId: "tests", bootstrapBrokers: brokers, groupId: "tests", retries: 8, retryDelay: 50 };
  const reader = new Consumer(base);
  try {
    await untilMarked(reader);
    const isolationLevel = FetchIsolationLevels.READ_UNCOMMITTED;
    const { topics } = await reader.metadata({ topics: [topic] });
    const found: KafkaRecord[] = [];
    const { id = "", partitions = [] } = topics.get(topic) ?? {};
    const ends = await reader.listOffsets({ topics: [topic], timestamp: ListOffsetTimestamps.LATEST, isolationLevel });
    for (const [partition, { leader }] of partitions.entries()) {
      const end = ends.get(topic)?.[partition] ?? 0n;
      const open = new Map<bigint, KafkaRecord[]>();
      for (let offset = 0n; offset < end; ) {
        const place = { partition, fetchOffset: offset, currentLeaderEpoch: -1, lastFetchedEpoch: -1 };
        const wanted = [{ topicId: id, partitions: [{ ...place, partitionMaxBytes: 1 << 22 }] }];
        const reads = { minBytes: 1, maxBytes: 1 << 22, maxWaitTime: 1_000, isolationLevel };
        const { responses } = await reader.fetch({ node: leader, topics: wanted, ...reads });
        for (const batch of responses[0]?.partitions[0]?.records ?? []) {
          offset = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
          const held = open.get(batch.producerId) ?? [];
          open.set(batch.producerId, held);
          if ((batch.attributes & (1 << 5)) === 0) {
            for (const { key, value, headers } of batch.records) held.push(recordOf(partition, key, value, headers));
          } else {
            if (batch.records[0]?.key?.readInt16BE(2) === 1) found.push(...held);
            open.delete(batch.producerId);
          }
        }
      }
    }
    return found;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("Unknown topic")) return [];
    throw error;
  } finally {
    await reader.close(true);
  }
}

/** A broker that has decided on a transaction answers; its markers come into the topics a moment later. */
async function untilMarked(reader: Consumer): Promise<void> {
  for (;;) {
    let undecided = 0;
    for (const connection of (await reader.connectToBrokers()).values()) {
      const states = ["PrepareCommit", "PrepareAbort"] as const;
      const listed = await listTransactionsV1.api.async(connection, [...states], [], -1n, null);
      undecided += listed.transactionStates.length;
    }
    if (undecided === 0) return;
  }
}

type Bytes = Buffer | null;

function recordOf(partition: number, key: Bytes, value: Bytes, pairs: readonly [Bytes, Bytes][]): KafkaRecord {
  const headers = Object.fromEntries(pairs.map(([name, text]) => [String(name), String(text)]));
  const data = JSON.parse(String(value)) as Plain;
  return { id: headers["ce_id"] ?? "", partition, key: String(key), headers, data };
}

function consume(brokers: readonly string[], topic: string): Pick<KafkaRecord, "id" | "partition">[] {
  const shown = ["print.partition=true", "print.headers=true", "print.value=false"].flatMap((one) => [
    "--property",
    one,
  ]);
  const asked = ["--topic", topic, "--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", "5000"];
  const tool = ["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", brokers.join(",")];
  const options = { encoding: "utf8" as const, maxBuffer: 1 << 28 };
  const text = execFileSync("java", [...flags, ...tool, ...asked, ...shown], options);
  const lines = text.split("\n").filter((line) => line.startsWith("Partition:"));
  return lines.map((line) => {
    const [, partition = "", id = ""] = /^Partition:(\d+)\t.*\bce_id:([^,\t]+)/.exec(line) ?? [];
    return { id, partition: Number(partition) };
  });
}
