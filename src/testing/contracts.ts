/**
 * `holdfast/contracts`: the contract suites of the ports, by which an engine of a third party proves itself. They need the
 * package `fast-check` beside them.
 *
 * Invariant: these are the suites that the engines of this repository pass, not a copy.
 */
export type { ClockUnderTest } from "../ports/clock.contract.ts";
export { testClock } from "../ports/clock.contract.ts";
export type { CoordinationSuiteOptions, CoordinationUnderTest } from "../ports/coordination.contract.ts";
export { testCoordination } from "../ports/coordination.contract.ts";
export type { KeyStoreUnderTest } from "../ports/key-store.contract.ts";
export { testKeyStore } from "../ports/key-store.contract.ts";
export type { LogUnderTest } from "../ports/log.contract.kit.ts";
export type { LogSuiteOptions, OpenLog } from "../ports/log.contract.ts";
export { testLog } from "../ports/log.contract.ts";
export type { Arrived, SinkSuiteOptions, SinkUnderTest } from "../ports/sink.contract.kit.ts";
export { testSink } from "../ports/sink.contract.ts";
export type { SnapshotStoreSuiteOptions, SnapshotStoreUnderTest } from "../ports/snapshot-store.contract.ts";
export { testSnapshotStore } from "../ports/snapshot-store.contract.ts";
export type { StateStoreUnderTest } from "../ports/state-store.contract.kit.ts";
export type { OpenStateStore, StateStoreSuiteOptions } from "../ports/state-store.contract.ts";
export { testStateStore } from "../ports/state-store.contract.ts";
export type { NodeSettings, TransportUnderTest } from "../ports/transport.contract.kit.ts";
export type { TransportSuiteOptions } from "../ports/transport.contract.ts";
export { testTransport } from "../ports/transport.contract.ts";
