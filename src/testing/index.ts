/**
 * `holdfast/testing`: tests of one entity without a node, a node in the test's process, and the contract suites that a
 * third party's engine proves itself by.
 */

export type { ClockUnderTest } from "../ports/clock.contract.ts";
export { testClock } from "../ports/clock.contract.ts";
export type { LogUnderTest } from "../ports/log.contract.kit.ts";
export type { LogSuiteOptions, OpenLog } from "../ports/log.contract.ts";
export { testLog } from "../ports/log.contract.ts";
export { given, type Outcome, type Scenario } from "./given.ts";
export {
  startTestNode,
  type TestCallOptions,
  type TestExecuteOptions,
  type TestNews,
  type TestNode,
  type TestNodeOptions,
} from "./node.ts";
export type { Expected, GivenEvent, SentCommand, SetTimer, WhenOptions } from "./types.ts";
