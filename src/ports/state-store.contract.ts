/**
 * The contract suite of the state store: what every store must do, and do alike.
 *
 * A store runs it with `testStateStore(name, open)`. A case it cannot pass is skipped by name with a reason, never
 * silently. Each case opens a store of its own.
 */
import { describe, type TestContext, test } from "node:test";
import { stateStoreImageCases } from "./state-store.contract.images.ts";
import type { StateStoreCase, StateStoreKit, StateStoreUnderTest } from "./state-store.contract.kit.ts";
import { stateStoreModelCases } from "./state-store.contract.model.ts";

export type OpenStateStore = () => Promise<StateStoreUnderTest>;

export interface StateStoreSuiteOptions {
  /** Names of cases that this store cannot pass, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Generated sequences. Default 40. */
  readonly generatedRuns?: number;
}

/** Runs the whole suite against one store. */
export function testStateStore(name: string, open: OpenStateStore, options: StateStoreSuiteOptions = {}): void {
  describe(`state store: ${name}`, () => {
    for (const one of [...stateStoreImageCases, ...stateStoreModelCases]) {
      test(one.name, async (context) => {
        const reason = options.skip?.[one.name];
        if (reason !== undefined) context.skip(reason);
        else await runCase(context, one, open, options.generatedRuns ?? 40);
      });
    }
  });
}

async function runCase(
  context: TestContext,
  one: StateStoreCase,
  open: OpenStateStore,
  generatedRuns: number,
): Promise<void> {
  const opened: StateStoreUnderTest[] = [];
  const kit: StateStoreKit = {
    generatedRuns,
    skip: (reason) => context.skip(reason),
    async open() {
      const under = await open();
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
