/**
 * `holdfast`: what an application author imports. Definitions, a node, its errors. The client is `holdfast/client`, the
 * testing kit `holdfast/testing`.
 */

export { type FilesSinkOptions, filesSink } from "./adapters/files/sink.ts";
export { type WebhookSinkOptions, webhookSink } from "./adapters/webhook/sink.ts";
export type { AdminOptions, AdminPort } from "./admin/server.ts";
export { developmentAuthentication } from "./gateway/auth.ts";
export { type JwtOptions, jwtAuthentication } from "./gateway/jwt.ts";
export type { Authenticate, Gateway, GatewayOptions, Identity } from "./gateway/options.ts";
export { startGateway } from "./gateway/server.ts";
export type { Fork, ForkCommand } from "./history/fork.ts";
export type { StateHash, StateHashes } from "./history/hash.ts";
export type { EntityDiff, EntityPast, PastRecord, Range, ShardPast } from "./history/history.ts";
export type { Moment } from "./history/source.ts";
export type { Divergence, DivergenceKind, Verification } from "./history/verify.ts";
export { callOutcome } from "./model/call-outcome.ts";
export {
  type Access,
  type AnyEntity,
  type CallAttempt,
  type CallOptions,
  type CallOutcome,
  type Chance,
  type CommandOptions,
  type DecideContext,
  type Durability,
  defineEntity,
  type EntityOptions,
  type ReadContext,
  Rejection,
  type SendOutcome,
  type TypedEntity,
  type Verb,
} from "./model/entity.ts";
export type { EraseCall } from "./model/erasure.ts";
export { catalogue, type ErrorCode, HoldfastError, isHoldfastError, type Recovery } from "./model/errors.ts";
export type {
  AbsoluteItem,
  BatchLimits,
  ChangeItem,
  DeltaItem,
  FeedAsk,
  FeedBatch,
  FeedFilter,
  FeedForm,
  FeedItem,
  FeedLag,
  FeedStart,
} from "./model/feeds.ts";
export { type EntityRef, shardOf } from "./model/ids.ts";
export { type Limits, limitsDefault } from "./model/limits.ts";
export type { Captured, OperatorCall, OperatorVerb, ParkedEntry, ParkWhy } from "./model/marks.ts";
export {
  type ChangeOf,
  defineProjection,
  type ProjectionDefinition,
  type ProjectionOptions,
  type ProjectionVerb,
  type TypedProjection,
} from "./model/projection.ts";
export type { ProjectionStatus } from "./model/projection-status.ts";
export type { CallResult, CommandCall, Principal, QueryCall, WatchCall, WatchNews } from "./model/records.ts";
export type { Retention } from "./model/retention.ts";
export { isSealed, type Opened, personal, type Sealed } from "./model/sealed.ts";
export { sendOutcome } from "./model/send-outcome.ts";
export type {
  AsideRecord,
  RejectedPolicy,
  SlowPolicy,
  SubscriberAsk,
  SubscriberConfig,
  SubscriberDeclaration,
  SubscriberState,
  SubscriberStatus,
} from "./model/subscribers.ts";
export type { KeyStore } from "./ports/key-store.ts";
export {
  idOf,
  type Sink,
  type SinkBatch,
  type SinkIdentity,
} from "./ports/sink.ts";
export { type BackupRequest, backUpDirectory, type RestoreRequest, restoreDirectory } from "./presets/backup.ts";
export { type BackupErasure, eraseInBackups } from "./presets/backup-keys.ts";
export { openBackupPlace } from "./presets/backup-place.ts";
export { type EmbeddedOptions, type EmbeddedService, embedded } from "./presets/embedded.ts";
export { type History, openHistory } from "./presets/history.ts";
export type { Feed, Feeds } from "./propagation/feed.ts";
export { type OpenFeeds, openFeeds } from "./propagation/feeds.ts";
export type { ProjectedDocument, ProjectedList, Projections } from "./propagation/projections.ts";
export type { SinkMaker } from "./propagation/subscriber-run.ts";
export {
  type SubscriberOrder,
  Subscribers,
  type SubscribersOptions,
  type SubscriberVerb,
} from "./propagation/subscribers.ts";
export type { BackupExtra } from "./runtime/backup.ts";
export type { BackupProgress } from "./runtime/backup-area.ts";
export type { ErasedBackup } from "./runtime/backup-erase.ts";
export type { BackupReport } from "./runtime/backup-verify.ts";
export { type HoldfastNode, type NodeOptions, startNode } from "./runtime/node.ts";
export type { Figures, Health, Service } from "./runtime/service.ts";
export type { Plain } from "./std/plain.ts";
export { cloudAttributesOf, cloudEventBatchOf, cloudEventOf } from "./wire/cloud-events.ts";
export { exportWithout } from "./wire/keys.ts";
