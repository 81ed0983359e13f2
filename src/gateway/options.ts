/**
 * What a gateway is given and what it gives: the types that its files share.
 */
import type { ErrorCode } from "../model/errors.ts";
import type { Principal } from "../model/records.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { Feeds } from "../propagation/feed.ts";
import type { Projections } from "../propagation/projections.ts";
import type { Subscribers } from "../propagation/subscribers.ts";
import type { Figures, Service } from "../runtime/service.ts";
import type { DoorList } from "./doors.ts";
import type { CreateQuota } from "./quota.ts";
import type { WatchHub } from "./subscriptions.ts";

/** What a token stands for. */
export interface Identity {
  readonly principal: Principal;
  /** When the token ends, ms since 1970. Absent: it does not, or says nothing about it. */
  readonly expiresAtMs?: number;
}

export interface Caller {
  /** Address of the other end of the connection. */
  readonly address: string;
}

/**
 * Says who is asking. Called once per WebSocket (and per `refresh`), and for every HTTP request.
 * @param token what stood in `hello` or after `Authorization: Bearer`; undefined if nothing did
 * @throws HoldfastError `unauthenticated` the token is not valid. Anything else is answered as `unavailable`.
 */
export interface Authenticate {
  (token: string | undefined, caller: Caller): Promise<Identity>;
  /** True marks every HTTP answer with `X-Holdfast-Development: true`. */
  readonly development?: boolean;
}

/** Something that went wrong here and that no caller is told in full. Never holds payloads, tokens or keys. */
export interface GatewayProblem {
  readonly where: "http" | "session" | "authenticate" | "static" | "doors";
  readonly code: ErrorCode;
  /** The class of what was thrown. */
  readonly thrown: string;
}

export interface GatewayOptions {
  readonly service: Service;
  /** Durable subscribers of the same node, for operators and for who pulls. */
  readonly subscribers?: Subscribers;
  readonly clock: Clock;
  readonly random: Random;
  readonly authenticate: Authenticate;
  /** What happened in the service, for who consumes it over HTTP or a WebSocket. Absent: there are no such paths. */
  readonly feeds?: Feeds;
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /**
   * Origins (`https://example.org`) whose pages may call, besides pages served from this host and port. Needed when
   * pages come from elsewhere or through a proxy.
   */
  readonly allowedOrigins?: readonly string[];
  /**
   * Where clients can reach this service (`http://host:port`, this door among them). They are told, also of changes (looked at
   * about once a second), and go on at another door when theirs dies. Pages that these doors served may call and are allowed to
   * connect to all of them. Leave it out where a load balancer stands before the doors.
   */
  readonly doors?: () => readonly string[];
  /** A built page to serve beside the API: `index.html` and what it needs. */
  readonly staticDirectory?: string;
  /** Title and version in the OpenAPI document. */
  readonly title?: string;
  readonly version?: string;
  readonly report?: (problem: GatewayProblem) => void;
  /** What operators are shown as the status. Default: the service's own. */
  readonly figures?: () => Promise<Figures>;
  /** Shown under `/v1/projections`. */
  readonly projections?: Projections;
}

export interface Gateway {
  readonly port: number;
  /** `http://host:port` */
  readonly url: string;
  /** Takes no new work, waits for replies (at most `drainMs`), closes every connection. */
  close(): Promise<void>;
}

/** Projections, and who watches them. */
export interface ShownProjections {
  readonly all: Projections;
  readonly hub: WatchHub;
}

/** What every part of one gateway shares. */
export interface GatewayContext {
  readonly service: Service;
  readonly subscribers: Subscribers | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly authenticate: Authenticate;
  readonly hub: WatchHub;
  readonly feeds: Feeds | undefined;
  readonly projections: ShownProjections | undefined;
  readonly doors: DoorList | undefined;
  readonly figures: () => Promise<Figures>;
  readonly quota: CreateQuota;
  readonly report: (problem: GatewayProblem) => void;
  /** True from the start of `close`. */
  draining: boolean;
}
