/**
 * What the page follows without being anybody: the leaderboard and tables as everybody sees them, as server-sent events. The first
 * event is the whole (an absolute), the others say what changed (a delta, JSON Patch); a browser that was away comes back
 * with `Last-Event-ID` by itself.
 *
 * Invariant: the value handed on is the server's at the version of the last event: a delta that does not follow the one before is
 * not applied, the stream begins again instead.
 */
import { applyPatch, type PatchOperation, type Plain } from "holdfast/client";
import type { Standings, StandingsOrder, WatchedTable } from "../../src/contract.ts";
import type { Stop } from "./server.ts";
import { after } from "./time.ts";

/** Bytes of a stream so far: as they came, and as they would have been with the whole each time. */
export type Traffic = { readonly updates: number; readonly received: number; readonly whole: number };

export interface PublicServer {
  followStandings(order: StandingsOrder, listener: (value: Standings) => void): Stop;
  followTable(table: string, listener: (view: WatchedTable, traffic: Traffic) => void): Stop;
}

const STANDINGS_SHOWN = 25;
const AGAIN_MS = 2_000;

export function openPublicServer(origin: string): PublicServer {
  const path = (of: string): string => `${origin}/v1/${of}`;
  return {
    followStandings: (order, listener) =>
      follow(path(`projections/leaderboard?limit=${STANDINGS_SHOWN}&order=${order}`), (value) =>
        listener(value as unknown as Standings),
      ),
    followTable: (table, listener) =>
      follow(path(`entities/table/${table}/views/public`), (value, traffic) =>
        listener(value as unknown as WatchedTable, traffic),
      ),
  };
}

type Absolute = { readonly version: number; readonly value: Plain };
type Delta = { readonly from: number; readonly version: number; readonly patch: readonly PatchOperation[] };

function follow(url: string, listener: (value: Plain, traffic: Traffic) => void): Stop {
  let source: EventSource | null = null;
  let held: Absolute | null = null;
  let traffic: Traffic = { updates: 0, received: 0, whole: 0 };
  let cancel: Stop = () => {};
  const take = (next: Absolute, received: number): void => {
    held = next;
    traffic = {
      updates: traffic.updates + 1,
      received: traffic.received + received,
      whole: traffic.whole + bytesOf(JSON.stringify(next)),
    };
    listener(next.value, traffic);
  };
  const open = (): void => {
    source?.close();
    held = null;
    const opened = new EventSource(url);
    source = opened;
    opened.addEventListener("absolute", ({ data }: MessageEvent<string>) => {
      take(JSON.parse(data) as Absolute, bytesOf(data));
    });
    opened.addEventListener("delta", ({ data }: MessageEvent<string>) => {
      const { from, version, patch } = JSON.parse(data) as Delta;
      if (held?.version !== from) open();
      else take({ version, value: applyPatch(held.value, patch) }, bytesOf(data));
    });
    // The browser comes back by itself, unless the server said no or ended the stream.
    const later = (): void => {
      if (opened.readyState === EventSource.OPEN) opened.close();
      if (opened.readyState === EventSource.CLOSED) cancel = after(AGAIN_MS, open);
    };
    opened.addEventListener("ended", later);
    opened.addEventListener("error", later);
  };
  open();
  return () => {
    cancel();
    source?.close();
    source = null;
  };
}

const encoder = new TextEncoder();

function bytesOf(text: string): number {
  return encoder.encode(text).length;
}
