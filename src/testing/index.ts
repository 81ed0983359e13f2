/**
 * `holdfast/testing`: tests of one entity without a node, and a node in the test's process on a clock of the test's own.
 * The contract suites of the ports are in `holdfast/contracts`.
 */

export { given, type Outcome, type Scenario } from "./given.ts";
export {
  startTestNode,
  type TestCallOptions,
  type TestExecuteOptions,
  type TestNews,
  type TestNode,
  type TestNodeOptions,
} from "./node.ts";
export { sealedFor } from "./sealing.ts";
export type { Expected, GivenEvent, MadeCall, SentCommand, SetTimer, WhenOptions } from "./types.ts";
