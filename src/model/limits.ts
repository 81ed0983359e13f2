/**
 * Every limit of a node, with its unit and its reason. Over a limit the answer is `overloaded` or `too-large`; nothing
 * grows without bound and nothing is dropped silently.
 *
 * Invariant: the relations below hold, asserted when this file is loaded and again for limits a user gives.
 */
import { assert } from "./errors.ts";

/**
 * The loss window that a relaxed command may ask for, ms. Less than `least` leaves no time for a disk's write after a
 * timer's; more than `most` is data that nobody calls stored.
 */
export const relaxedWindowMs = { least: 10, most: 60_000 } as const;
/**
 * Shares of that window: how long a relaxed record waits for others to go with it, and the longest that one append may
 * take. Of the tenth that is left the event loop may be late.
 */
export const relaxedShare = { wait: 0.4, append: 0.25 } as const;
assert(
  relaxedShare.wait + 2 * relaxedShare.append < 1,
  "a relaxed record waits, sees one append end, and is in the next, all within its window",
);

export const limitsDefault = {
  // data
  /** Nesting of any message, input, event, reply or view. Deeper structures exist to break parsers. */
  depthMax: 64,
  /** One command's input, or one query's. A bet is 40 bytes; 64 KiB leaves room for documents. */
  inputBytesMax: 64 * 1024,
  /** One record: all events, the reply, sends, timers and calls of one command. Must fit in a log block beside others. */
  recordBytesMax: 256 * 1024,
  /** What one view or query may return. A view goes to every subscriber, so it is kept near one frame. */
  viewBytesMax: 256 * 1024,
  /** Events, sends, timer changes and calls one command may make, each. More is a loop that went wrong. */
  perCommandMax: 256,

  // one entity, one shard, one node
  /** One entity's state. It is copied whole into images and marks, and one that keeps growing is a loop that went wrong. */
  stateBytesMax: 1024 * 1024,
  /** Attempts of a timer, or of the reply to a send, whose code throws; then the entity is parked. The waits between them add up to a minute. */
  triesMax: 10,
  /** Entities of one shard that a replay may park. More of them at once are not broken entities but a broken deployment. */
  parkedAtReplayMax: 64,
  /** Time a decide may take before it is reported; it cannot be interrupted. Collecting garbage or a machine that is shared may cost 100 ms, more is the code's. */
  decideBudgetMs: 500,
  /** Commands of one entity that wait for the log. Bounds what one hot entity takes of its shard. */
  mailboxMax: 4_096,
  /** Timers one entity may hold. */
  timersPerEntityMax: 1_024,
  /** Sends of one entity that are not acknowledged yet. */
  outboxPerEntityMax: 1_024,
  /** Records of one shard that are decided but not durable. */
  inflightRecordsMax: 16_384,
  /** Bytes of decided, not yet durable records on the node: the worst case a stalled disk keeps in memory. */
  inflightBytesMax: 64 * 1024 * 1024,
  /** Records in one append of one shard, so that one shard cannot fill a block. */
  appendRecordsMax: 4_096,
  /** Bytes in one append over all shards: about 10 ms of a slow disk. */
  appendBytesMax: 4 * 1024 * 1024,

  // outside effects
  /** Calls of one entity that are not settled, parked ones included. */
  callsPerEntityMax: 256,
  /** Handlers that run at once on the node: bounds sockets and memory. The others wait in the order of their records. */
  callsRunningMax: 256,
  /** What one call's handler may return, in bytes: it becomes a command's input. */
  callResultBytesMax: 64 * 1024,
  /** Attempts at one call that may be asked for: with the longest wait between them, over 8 hours. */
  callAttemptsMax: 100,
  /** Attempts at a call that does not say: about half a minute of a receiver that is down. */
  callAttempts: 8,
  /** What one attempt may be given. */
  callTimeoutMaxMs: 600_000,
  /** What one attempt is given that does not say. Most receivers give up on their own work in 30 s. */
  callTimeoutMs: 30_000,
  /** The wait after a first failure is drawn from 0 to this; from 0 to twice as much after each further one. */
  callRetryFirstMs: 500,
  /** At most this. */
  callRetryMostMs: 300_000,
  /** Kept of a failed attempt's error, in characters. It stands in the log. */
  callErrorCharsMax: 300,

  // what is kept outside memory
  /** Entities of the node in memory; others are images in the state store. Small ones take 2 KB each: about 130 MB of heap. */
  residentEntitiesMax: 65_536,
  /** Bytes of their images. Live objects take two to five times as much. */
  residentBytesMax: 64 * 1024 * 1024,
  /** Bytes of snapshots that the node holds in memory until they are in the state store, decompressed blocks included; what is over that is imported before its shard is served. */
  snapshotHeldBytesMax: 1024 * 1024 * 1024,
  /** What the replay after a crash may take, all shards together: a checkpoint is due when it would be more. */
  replayBudgetMs: 1_000,
  /** A checkpoint of a shard that changed at all, so that an idle one does not hold the log back. */
  checkpointMs: 300_000,
  /** Bytes of the state store's file, its unused pages included: 100 million entities of 200 B. Reserves addresses, not space. */
  stateStoreBytesMax: 64 * 1024 * 1024 * 1024,
  /** A state store's file up to this size is checked whole when it is opened: about 50 ms. Of larger ones each image is checked when it is read. */
  stateStoreVerifyBytesMax: 64 * 1024 * 1024,

  /** Opened values of personal data kept for the next view that shows them: 9 µs each to open again. A name is 40 B. */
  openedValuesMax: 8_192,

  // the archive
  /** Records of a shard that may wait in its log for the archive, so that an object is worth its request: 250 KB of small ones. */
  archiveRecordsMin: 4_096,
  /** How long records may wait for that many, ms: a shard with few of them must not hold everybody's segments. */
  archiveWaitMs: 3_600_000,
  /** Records of a shard up to which other code replays the archive although older states would do: 16 shards of this are about 10 s. */
  archiveReplayRecordsMax: 250_000,

  // dedup
  /** How long a request id is remembered. A retry later than this is refused, never run. */
  dedupWindowMs: 600_000,
  /** How far a request id may lie in the future of our clock: clients with a fast clock. */
  requestIdFutureMs: 60_000,
  /** Request ids remembered per shard, at most 80 bytes each off the heap: 6,000 commands/s on one shard for the whole window. */
  dedupIdsPerShardMax: 4_194_304,
  /** Outcomes kept decoded per shard for retries; older ones are read back from the log. */
  outcomesPerShardMax: 2_048,
  /** Bytes of those outcomes per shard. */
  outcomesBytesPerShardMax: 256 * 1024,

  // feeds
  /** Items in one batch of a feed. */
  feedBatchItemsMax: 16_384,
  /** Bytes of one batch, about: what one reader holds at a time. */
  feedBatchBytesMax: 4 * 1024 * 1024,
  /** Frames that became durable of late and are kept for feeds that keep up, in bytes (256 for each frame beside its own); who is further behind reads the log. */
  feedRecentBytesMax: 16 * 1024 * 1024,
  /** Values that one feed of deltas holds to compare the next ones with, in bytes; an entity whose value is not among them gets an absolute. */
  feedHeldBytesMax: 4 * 1024 * 1024,
  /** Records that a feed of absolutes looks through for one batch: more are conflated in the next ones. */
  feedScanRecordsMax: 65_536,
  /** How long a feed that nobody asks keeps its place in the files of the log, ms. */
  feedIdleMs: 1_000,
  /** Open feeds of a node. */
  feedsMax: 10_000,
  /** Feeds of one WebSocket. Each makes its own way through the log. */
  feedsPerConnectionMax: 64,
  /** Items that a WebSocket may allow one feed ahead. */
  feedCreditMax: 65_536,
  /** Items in one batch of a stream or a WebSocket: what a reader that resumes within a batch may get again. */
  feedStreamItemsMax: 256,
  /** Bytes in one: what a reader that stalls costs, and 64 KiB in its socket. */
  feedStreamBytesMax: 64 * 1024,
  /** How long a request for a feed's next items may wait for them, ms. Below the 60 s at which proxies cut what is silent. */
  feedWaitMaxMs: 55_000,
  /** A reader of a feed over HTTP that takes nothing for so long is cut off, ms; it goes on from its cursor. */
  feedStalledMs: 60_000,
  /** Feeds that are kept open for pullers to come back to, in bytes: one of deltas counts for `feedHeldBytesMax`, another for `feedStreamBytesMax`. */
  feedsKeptBytesMax: 256 * 1024 * 1024,
  /** How long one is kept, ms. */
  feedKeptMs: 30_000,

  // projections
  /** Documents of one projection. All are in memory: with the order of a list about 300 B each beside what they hold. */
  projectionDocumentsMax: 262_144,
  /** Bytes of one projection's documents. They are saved whole, in slices. */
  projectionBytesMax: 64 * 1024 * 1024,
  /** Documents in one list: a page or two. */
  projectionListMax: 1_000,
  /** Changes that a restart may have to fold again: at most this many, or those of `projectionSaveMs`. */
  projectionSaveRecordsMax: 262_144,
  /** Between saves of a projection that changes, ms. A save that takes long makes the next one wait twenty times as long. */
  projectionSaveMs: 10_000,
  /** How long changes are gathered before readers are told, ms: 20 pages a second at most. */
  projectionLingerMs: 50,
  // durable subscribers
  /** Subscribers of a service. Each holds a feed and, while it runs, a sink's connections. */
  subscribersMax: 256,
  /** How long what a sink took may wait for its cursor to be recorded, ms: after a crash it comes again. */
  subscriberCommitMs: 1_000,
  /** Records that a cursor may pass without an item before it is recorded. More than there are subscribers: see the relation below. */
  subscriberIdleRecords: 1_024,
  /** Attempts at one batch before its subscriber is parked, unless it says otherwise: a day of a sink that is down. */
  subscriberTriesMax: 1_500,
  /** Records that a subscriber's sink refused and that are kept for an operator; then the subscriber is parked. */
  subscriberAsideMax: 256,
  /** A subscriber that does not say otherwise lags when it is so many records behind. */
  subscriberLagRecords: 1_000_000,
  /** Or so many ms. */
  subscriberLagMs: 300_000,
  /** Records of a shard that retention keeps for subscribers that are behind: 10 GB of usual ones over 16 shards. */
  subscriberHoldRecordsMax: 4_194_304,
  /** And how long, ms: a week. */
  subscriberHoldMs: 604_800_000,

  /** Members of a group that share one subscriber. */
  subscriberMembersMax: 256,
  /** A member that says nothing for so long loses its shards, ms. */
  subscriberLeaseMs: 30_000,

  // other nodes
  /** Connections with other nodes. Placement is tested up to 1,000 nodes. */
  peersMax: 1_024,
  /** Connections to the peer port that have not proved yet whose they are: when a network heals, many nodes dial at once, and dial again. */
  peerHandshakesMax: 256,
  /** From connecting to the last message of the handshake: two round trips, and whatever a busy node takes to answer. */
  peerHandshakeMs: 2_000,
  /** What may be sent before the handshake is over, in bytes: two names, two nonces, and what a node tells of itself. */
  peerHandshakeBytesMax: 16 * 1024,
  /** One message between nodes, with the frame of the log beside it. A frame has at most `appendBytesMax` of records. */
  peerFrameBytesMax: 8 * 1024 * 1024,
  /** Bytes that wait to be sent to one node; then `send` takes nothing. A fifth of a second of a 1 Gbit network, and two of the largest messages. */
  peerBufferedBytesMax: 16 * 1024 * 1024,
  /** Calls that wait for one node's answers: what 64 connections of clients may have under way. */
  peerCallsMax: 65_536,
  /** Calls that wait on this node for an owner: a second of what its clients send. */
  routeWaitingMax: 16_384,
  /** And how long: longer than a failover without a standby takes, shorter than a client's patience. ms */
  routeWaitMs: 5_000,
  /** Records that a standby may lack and yet take a shard over: it reads them in the pause. */
  handoffLagMax: 256,
  /** How long an owner that handed its shard over waits for the claim before it makes one itself, ms: ten times what a claim takes. */
  handoffMs: 1_000,
  /** A node that says nothing gives a sign of life so often, ms. */
  peerHeartbeatMs: 300,
  /** After so long without any the connection is given up, ms: three signs. A pause of a garbage collection is shorter. */
  peerSilentMs: 1_000,

  // the door
  /** One WebSocket frame or HTTP body. `ws` would take 100 MiB. */
  frameBytesMax: 256 * 1024,
  /** Messages in one frame: bounds the work between two turns of the event loop. */
  frameMessagesMax: 1_024,
  /** Values (array items and object members) in one frame: bounds what a small frame can make a parser build. 32,768 different keys cost 25 to 40 ms. */
  frameValuesMax: 16_384,
  /** Longest number literal in JSON: 1e6 digits cost 171 ms. */
  numberCharsMax: 40,
  /** Open WebSockets on the node. */
  connectionsMax: 10_000,
  /** Open connections from one address. */
  connectionsPerAddressMax: 1_000,
  /** Commands and queries of one connection that are not answered. */
  inflightPerConnectionMax: 4_096,
  /** Subscriptions of one connection. */
  subscriptionsPerConnectionMax: 256,
  /** Bytes queued to one slow connection; then it is closed with 4429. One paused socket made `ws` queue 127 MB. */
  outgoingBytesPerConnectionMax: 4 * 1024 * 1024,
  /** How long a connection may be behind (over half of the above) before it is closed with 4429. */
  slowMs: 10_000,
  /** All headers of one HTTP request, in bytes. */
  headerBytesMax: 16 * 1024,
  /** An HTTP connection without a request. */
  keepAliveMs: 10_000,
  /** From connecting to the first frame with a valid token. */
  handshakeMs: 5_000,
  /** From the first byte of an HTTP request to its last; node:http would wait 300 s. */
  requestMs: 10_000,
  /** Between pings; a connection that misses two is closed. */
  pingMs: 15_000,
  /** Deltas kept per watched view for subscribers that reconnect. */
  deltasKeptMax: 64,
  /** How long a view is still watched for subscribers that reconnect. */
  watchLingerMs: 10_000,
  /** Views that are watched for nobody but those. */
  watchesLingeringMax: 1_000,
  /** Entities one principal may bring into being per minute. */
  createsPerMinuteMax: 600,
  /** Principals whose quota is remembered; the least recent is forgotten first. */
  quotasMax: 100_000,
  /** Doors of the service that a client is told of: any one that lives is enough for it. */
  doorsToldMax: 64,
  /** Origins of doors whose pages may call, those that are gone among them; the one told of longest ago is forgotten first. */
  doorOriginsMax: 1_024,
  /** Waiting for replies at a graceful stop. */
  drainMs: 10_000,
};

export type Limits = Readonly<typeof limitsDefault>;

/** The defaults with some replaced. @throws `internal` if they contradict each other */
export function limitsWith(changes: Partial<Limits> = {}): Limits {
  const limits = { ...limitsDefault, ...changes };
  for (const [name, value] of Object.entries(limits)) {
    assert(Number.isSafeInteger(value) && value > 0, `limit ${name} is a positive integer`);
  }
  assert(limits.inputBytesMax <= limits.frameBytesMax, "an input fits in a frame");
  assert(limits.recordBytesMax <= limits.appendBytesMax, "a record fits in an append");
  assert(limits.inputBytesMax <= limits.recordBytesMax, "an event that repeats its input fits in a record");
  assert(limits.appendBytesMax <= limits.inflightBytesMax, "an append fits in what may be in flight");
  assert(limits.appendRecordsMax <= limits.inflightRecordsMax, "a full append fits in what may be in flight");
  assert(
    limits.stateBytesMax + limits.recordBytesMax <= limits.appendBytesMax,
    "a mark with a state and a captured command fits in an append",
  );
  assert(limits.stateBytesMax <= limits.residentBytesMax, "an entity fits in memory");
  assert(limits.callResultBytesMax <= limits.inputBytesMax, "a call's result fits in a command's input");
  assert(limits.callAttempts <= limits.callAttemptsMax, "the usual attempts may be asked for");
  assert(limits.callTimeoutMs <= limits.callTimeoutMaxMs, "the usual timeout may be asked for");
  assert(limits.callRetryFirstMs <= limits.callRetryMostMs, "the first wait is not the longest");
  assert(
    limits.feedStreamItemsMax <= limits.feedBatchItemsMax && limits.feedStreamBytesMax <= limits.feedBatchBytesMax,
    "a batch of a stream is a batch",
  );
  assert(limits.requestIdFutureMs < limits.dedupWindowMs, "an id from the future is forgotten after its window");
  assert(limits.appendBytesMax < limits.peerFrameBytesMax, "a frame of the log fits in a message to another node");
  assert(limits.peerFrameBytesMax <= limits.peerBufferedBytesMax, "a message may wait to be sent");
  assert(
    3 * limits.peerHeartbeatMs <= limits.peerSilentMs,
    "a sign of life may come late, and so may who looks for it",
  );
  assert(
    limits.subscribersMax < limits.subscriberIdleRecords,
    "recorded cursors of all subscribers together make none of them record its own",
  );
  return limits;
}

limitsWith();
