/**
 * `npm run bench -- --only feeds`: what feeds give, and what those who do not take it cost the commands.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstMessage, startProcess } from "./process.ts";

interface CatchUp {
  readonly events: number;
  readonly ms: number;
  readonly heapMb: number;
}

interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Stalled {
  readonly rounds: readonly { readonly heldBytes: number; readonly withThem: Latency; readonly without: Latency }[];
}

const median = (values: readonly number[]) => values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
const whole = (value: number) => Math.round(value).toLocaleString("en");

async function run<Result>(parameters: readonly string[], nodeOptions: readonly string[] = []): Promise<Result> {
  const child = startProcess("feeds-child.ts", parameters, nodeOptions);
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const result = await firstMessage<Result>(child);
  await exited;
  return result;
}

export async function measureFeeds(print: (line?: string) => void, quick: boolean): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const events = quick ? 200_000 : 1_000_000;
  try {
    const writer = startProcess("recovery.ts", ["write", directory, String(events)]);
    const written = new Promise((resolve) => writer.once("exit", resolve));
    await firstMessage(writer);
    await written;
    print("## Feeds in the process of their node");
    print();
    print(`A change log of ${whole(events)} events from its beginning, in batches of 4,096:`);
    print();
    print("| round | events/s | heap MB |");
    print("|---|---|---|");
    for (let round = 1; round <= (quick ? 1 : 3); round++) {
      const { events: read, ms, heapMb } = await run<CatchUp>(["catch-up", directory]);
      print(`| ${round} | ${whole((read / ms) * 1_000)} | ${whole(heapMb)} |`);
    }
    print();
    await stalled(print, directory, quick);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function stalled(print: (line?: string) => void, directory: string, quick: boolean): Promise<void> {
  const [rounds, ms, perSecond, consumers] = quick ? [2, 1_500, 3_000, 200] : [11, 3_000, 3_000, 1_000];
  const parameters = ["stalled", directory, rounds, ms, perSecond, consumers].map(String);
  const { rounds: taken } = await run<Stalled>(parameters, ["--expose-gc"]);
  print(
    `${whole(perSecond)} commands/s at a fixed rate, with and without ${whole(consumers)} feeds (a third of each form) that took one batch and ask for nothing more; ${rounds} rounds in turns of ${ms} ms, medians.`,
  );
  print();
  print("| | p50 ms | p99 ms |");
  print("|---|---|---|");
  for (const [name, field] of [
    ["with them", "withThem"],
    ["without", "without"],
  ] as const) {
    const figures = (["p50Ms", "p99Ms"] as const).map((which) => median(taken.map((round) => round[field][which])));
    print(`| ${name} | ${figures.map((figure) => figure.toFixed(2)).join(" | ")} |`);
  }
  const ratio = median(taken.map(({ withThem, without }) => withThem.p99Ms / without.p99Ms));
  const held = median(taken.map(({ heldBytes }) => heldBytes)) / consumers;
  print();
  print(`Median of the rounds' ratios of p99: ${ratio.toFixed(2)}. Held by each of them: ${whole(held)} bytes.`);
  print();
}
