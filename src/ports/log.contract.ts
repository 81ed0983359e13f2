/**
 * The contract suite of the shard log: what every engine must do, and do alike.
 *
 * An engine runs it with `testLog(name, open)`. A case it cannot pass is skipped by name with a reason, never silently.
 * A case opens a log of its own, or uses the one its group shares.
 */
import { after, describe, type TestContext, test } from "node:test";
import { argumentCases } from "./log.contract.arguments.ts";
import { appendCases, claimCases } from "./log.contract.fence.ts";
import type { Case, Kit, LogUnderTest } from "./log.contract.kit.ts";
import { modelCases } from "./log.contract.model.ts";
import { readCases } from "./log.contract.read.ts";
import { reopenCases, trimCases } from "./log.contract.trim.ts";
import type { ShardLog } from "./log.ts";

export type OpenLog = (options: { readonly shardCount: number }) => Promise<LogUnderTest>;

export interface LogSuiteOptions {
  /** Names of cases that this engine cannot pass, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Generated command sequences. Default 40. */
  readonly generatedRuns?: number;
}

/** Runs the whole suite against one engine. */
export function testLog(name: string, open: OpenLog, options: LogSuiteOptions = {}): void {
  const groups = {
    claims: claimCases,
    appends: appendCases,
    reads: readCases,
    trims: trimCases,
    reopening: reopenCases,
    arguments: argumentCases,
    model: modelCases,
  };
  describe(`shard log: ${name}`, () => {
    for (const [group, cases] of Object.entries(groups)) describe(group, () => defineGroup(cases, open, options));
  });
}

function defineGroup(cases: readonly Case[], open: OpenLog, options: LogSuiteOptions): void {
  let shared: LogUnderTest | undefined;
  const openShared = async () => {
    shared ??= await open({ shardCount: 8 });
    return shared.log;
  };
  after(() => shared?.dispose());
  for (const one of cases) {
    test(one.name, async (context) => {
      const reason = options.skip?.[one.name];
      if (reason !== undefined) context.skip(reason);
      else await runCase(context, one, { open, openShared, generatedRuns: options.generatedRuns ?? 40 });
    });
  }
}

interface RunOptions {
  readonly open: OpenLog;
  readonly openShared: () => Promise<ShardLog>;
  readonly generatedRuns: number;
}

async function runCase(context: TestContext, one: Case, options: RunOptions): Promise<void> {
  const opened: LogUnderTest[] = [];
  const kit: Kit = {
    generatedRuns: options.generatedRuns,
    shared: options.openShared,
    skip: (reason) => context.skip(reason),
    async open(shardCount = 8) {
      const under = await options.open({ shardCount });
      opened.push(under);
      return under;
    },
  };
  try {
    await one.run(kit);
  } finally {
    for (const under of opened) await under.dispose();
  }
}
