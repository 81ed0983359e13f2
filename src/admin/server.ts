/**
 * The admin port: what a node tells of itself to monitoring and operators, apart from the port that the world may reach.
 *
 *   GET /metrics               for Prometheus
 *   GET /v1/operator/status    the same as JSON; the door has it too, for operators
 *   GET /livez
 *   GET /v1/operator/cluster, POST /v1/operator/cluster/{verb}: those of the door, for a node that is one of several
 *
 * Invariants: it listens on loopback, or it has a token; with a token every request needs it. No page of another origin can
 * read it. Without a token it changes nothing; with one, nothing but where shards are.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { problemBody, problemType, refuse, sendJson } from "../gateway/http-answer.ts";
import { answerCluster, type ClusterRoute, clusterPath, matchClusterRoute } from "../gateway/http-cluster.ts";
import { statusPath } from "../gateway/http-operator.ts";
import { readToken } from "../gateway/http-request.ts";
import { isLoopback, Origins } from "../gateway/origins.ts";
import { createHttpServer, listen } from "../gateway/server.ts";
import { catalogue, HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Subscribers } from "../propagation/subscribers.ts";
import type { HoldfastNode } from "../runtime/node.ts";
import { Metrics } from "./metrics.ts";

export interface AdminOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Address to listen on. Default 127.0.0.1. Any other than a loopback address needs `token`. */
  readonly host?: string;
  /** Must stand after `Authorization: Bearer`. At least 16 characters. */
  readonly token?: string;
}

export interface AdminPort {
  readonly port: number;
  /** `http://host:port` */
  readonly url: string;
  close(): Promise<void>;
}

const tokenCharsMin = 16;
/** A monitoring system or two, and a person. */
const connectionsMax = 32;

/** What the port shows. */
export type AdminSource = Pick<HoldfastNode, "limits" | "health" | "figures" | "onCommit" | "cluster">;

/** @throws `invalid-configuration` the port is taken, or anybody could read it */
export async function startAdmin(
  node: AdminSource,
  options: AdminOptions,
  subscribers?: Pick<Subscribers, "list">,
): Promise<AdminPort> {
  const { host = "127.0.0.1", token } = options;
  if (token === undefined && !isLoopback(host))
    throw new HoldfastError(
      "invalid-configuration",
      `The admin port on ${host} can be reached by others: set its token.`,
    );
  if (token !== undefined && token.length < tokenCharsMin)
    throw new HoldfastError(
      "invalid-configuration",
      `The admin port's token needs ${tokenCharsMin} characters or more.`,
    );
  const server = createHttpServer(node.limits);
  server.maxConnections = connectionsMax;
  const port = await listen(server, host, options.port);
  return new Admin({ node, subscribers, server, port, host, token: token === undefined ? undefined : digest(token) });
}

interface AdminParts {
  readonly node: AdminSource;
  readonly subscribers: Pick<Subscribers, "list"> | undefined;
  readonly server: Server;
  readonly port: number;
  readonly host: string;
  readonly token: Buffer | undefined;
}

class Admin implements AdminPort {
  readonly port: number;
  readonly url: string;
  readonly #parts: AdminParts;
  readonly #origins: Origins;
  readonly #metrics: Metrics;

  constructor(parts: AdminParts) {
    const { node, subscribers, server, port, host } = parts;
    this.#parts = parts;
    this.port = port;
    this.url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.#origins = new Origins(host, port, []);
    this.#metrics = new Metrics(node, subscribers);
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  async close(): Promise<void> {
    const { server } = this.#parts;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    this.#metrics.close();
  }

  /** Never rejects. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader("Cache-Control", "no-store");
    response.setHeader("X-Content-Type-Options", "nosniff");
    try {
      this.#origins.check(request);
      this.#checkToken(request);
      const path = request.url ?? "";
      const cluster = matchClusterRoute(path);
      if (cluster?.kind === "verb" && request.method === "POST") return await this.#move(cluster, request, response);
      if (request.method !== "GET" && request.method !== "HEAD")
        refuse("method-not-allowed", "This path takes GET only.");
      if (cluster !== undefined) return await this.#cluster(cluster, request, response);
      await this.#answer(path, response);
    } catch (error) {
      // What is not of the catalogue may hold anything.
      const { code, message } = isHoldfastError(error)
        ? error
        : new HoldfastError("internal", "Something went wrong here.");
      if (code === "unauthenticated") response.setHeader("WWW-Authenticate", 'Bearer realm="holdfast admin"');
      const { status } = catalogue[code];
      sendJson(response, status, problemBody({ ok: false, code, detail: message }), problemType);
    }
  }

  #checkToken(request: IncomingMessage): void {
    const { token } = this.#parts;
    if (token === undefined) return;
    const given = readToken(request);
    if (given === undefined || !timingSafeEqual(digest(given), token))
      refuse("unauthenticated", "The admin port's token is missing or not the one that was set.");
  }

  /** Whoever reaches a loopback port is not yet an operator. */
  async #move(route: ClusterRoute, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#parts.token === undefined)
      refuse("forbidden", "An admin port without a token only shows. Give it one, or ask at the door as an operator.");
    await this.#cluster(route, request, response);
  }

  async #cluster(route: ClusterRoute, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (route.kind === "verb" && request.method !== "POST") refuse("method-not-allowed", "This path takes POST only.");
    const { cluster, limits } = this.#parts.node;
    await answerCluster({ cluster, limits, route, request, response });
  }

  async #answer(path: string, response: ServerResponse): Promise<void> {
    const { node } = this.#parts;
    if (path === "/livez") return sendJson(response, 200, { phase: node.health().phase });
    if (path === statusPath) return sendJson(response, 200, await node.figures());
    if (path !== "/metrics") refuse("not-found", `Here are /metrics, ${statusPath}, ${clusterPath} and /livez.`);
    response.setHeader("Content-Type", this.#metrics.contentType);
    response.end(await this.#metrics.text());
  }
}

/** Of one length, so that the comparison takes the same time whatever was given. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
