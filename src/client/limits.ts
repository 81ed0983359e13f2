/**
 * Every limit of a client, with its unit and its reason. Those of a frame come from the server's welcome.
 *
 * Invariant: nothing in a client grows without bound: over a limit a call is refused with `overloaded`.
 */
import { limitsDefault } from "../model/limits.ts";

export const clientLimits = {
  /** Commands and queries that are not settled, sent or not. Twice what a connection takes at once. */
  callsMax: 2 * limitsDefault.inflightPerConnectionMax,
  /** Their inputs, in bytes as `copyPlain` counts. */
  callsBytesMax: 32 * 1024 * 1024,
  /** From a call to its answer, all attempts together, if neither the call nor `connect` says otherwise. */
  callMs: 30_000,
  /** Calls in flight after a reconnection. Each answer admits one more, so a server that just came back is not run over. */
  windowStart: 256,
  /** Bytes the socket may hold unsent before no further frame is made: a second of a slow line. */
  bufferedBytesMax: 1024 * 1024,
  /** Between looks at a socket that holds more: WebSocket has no event for it. */
  bufferedPollMs: 10,
  /** Messages of the server that are handed over in one turn of the event loop; see `Inbox`. Half a millisecond's work. */
  inboxSlice: 16,
  /** Messages that may wait for their turn; over that they are handed over at once. */
  inboxMax: 1024,

  /** Items of one feed that wait to be read or are allowed to come, if its reader says nothing else: 2 MB of small ones. */
  feedItemsAhead: 4_096,

  /** Share of the calls that may be asked again because the server refused them for now (see `RetryBudget`). */
  retryShare: 0.1,
  /** Retries per second that are granted to a client with few calls. */
  retriesPerSecond: 10,
  /** Retries saved up at most. */
  retriesMax: 100,
  /** The first wait before asking again is up to this; each further one up to twice the one before. */
  retryBaseMs: 50,
  retryMaxMs: 5_000,

  /** The same between attempts to connect. */
  reconnectBaseMs: 100,
  reconnectMaxMs: 10_000,
  /** A connection that lasted this long ends the doubling. */
  stableMs: 5_000,
  /** From asking for a token to the welcome. */
  connectMs: 10_000,
  /** Doors of one service that a client knows, given and learned: more than anybody needs to find one that lives. */
  doorsMax: 64,
  /** Before another door is dialled: up to this, so that the clients of a door that died do not come in one moment. */
  moveMs: 50,
  /** A door that cost time to be found dead rests this many times as long, at most `reconnectMaxMs`. */
  restPerCost: 10,
  /** How long nothing may be heard where there is another door to go to, if `connect` says nothing else. */
  silenceMs: 1_000,
  /** How long answers are waited for from a door that stops, where there is another one. Most commands take 10 ms. */
  leavingMs: 500,
  /** How long a view of an older version than the one shown is held back; see `Subscriptions`. */
  olderViewMs: 2_000,
  /** Between pings, which also keep the server's clock known. Below the 60 s at which proxies cut idle connections. */
  pingMs: 10_000,
  /** From a ping to the next frame of any kind; after that the connection is dead. */
  pongMs: 5_000,
  /** Waiting for the other side at `close`. */
  closeMs: 1_000,
};
