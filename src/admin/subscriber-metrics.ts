/**
 * Durable subscribers as metrics.
 *
 * Invariant: read when somebody asks. The label `subscriber` has as many values as there are subscribers, `subscribersMax` at most;
 * one that was deleted is not told of any more.
 */
import { Gauge, type Registry } from "prom-client";
import type { SubscriberState, SubscriberStatus } from "../model/subscribers.ts";

const states: readonly SubscriberState[] = ["running", "lagging", "paused", "parked", "failed"];

interface Row {
  readonly name: string;
  readonly help: string;
  readonly of: (status: SubscriberStatus) => number;
}

const rows: readonly Row[] = [
  {
    name: "holdfast_subscriber_lag_records",
    help: "Records between a durable subscriber and what is durable.",
    of: ({ lag }) => lag.records,
  },
  {
    name: "holdfast_subscriber_lag_bytes",
    help: "The same in bytes, about.",
    of: ({ lag }) => lag.bytes,
  },
  {
    name: "holdfast_subscriber_lag_seconds",
    help: "Age of the oldest record that a durable subscriber has not taken.",
    of: ({ lag }) => lag.seconds,
  },
  {
    name: "holdfast_subscriber_items",
    help: "Items that a durable subscriber has taken since it was created.",
    of: ({ items }) => items,
  },
  {
    name: "holdfast_subscriber_aside",
    help: "Records that a sink refused and that wait for an operator.",
    of: ({ aside }) => aside,
  },
];

export function addSubscriberMetrics(registry: Registry, list: () => readonly SubscriberStatus[]): void {
  const registers = [registry];
  for (const { name, help, of } of rows) {
    new Gauge({
      ...{ name, help, registers, labelNames: ["subscriber"] },
      collect() {
        this.reset();
        for (const status of list()) this.set({ subscriber: status.name }, of(status));
      },
    });
  }
  new Gauge({
    name: "holdfast_subscriber_state",
    help: "1 at the state that a durable subscriber is in.",
    labelNames: ["subscriber", "state"],
    registers,
    collect() {
      this.reset();
      for (const status of list())
        for (const state of states) this.set({ subscriber: status.name, state }, Number(status.state === state));
    },
  });
}
