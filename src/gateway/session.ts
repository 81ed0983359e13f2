/**
 * One client's WebSocket: frames in, calls to the service, answers out.
 *
 *   greeting -> authenticating -> open -> closing -> closed
 *
 * The first message is `hello`; what follows it waits until its token has been checked. While *closing* (the gateway
 * stops) no new work is taken and answers still go out.
 *
 * Invariants: an id is in use from its message until its answer and answered once; what is in flight, subscribed or
 * waiting is bounded; nothing is sent for a principal whose token has ended. No promise and no timer per message.
 */
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { CallResult, CommandCall, Principal } from "../model/records.ts";
import { LiveTable } from "../std/live-table.ts";
import type { Encoding } from "../wire/codec.ts";
import { frameError, type MessageFault, parseClientMessages } from "../wire/messages.ts";
import { type ClientMessage, closeCode, type ServerMessage } from "../wire/protocol.ts";
import { answerMessage, readOptions } from "./answers.ts";
import type { GatewayContext } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { retryAfterMs } from "./retry.ts";
import { SessionFeeds } from "./session-feeds.ts";
import { SessionHealth } from "./session-health.ts";
import { SessionToken } from "./session-token.ts";
import { SessionViews } from "./session-views.ts";

type Incoming = ClientMessage | MessageFault;
type Of<Kind extends ClientMessage["t"]> = Extract<ClientMessage, { t: Kind }>;
type State = "greeting" | "authenticating" | "open" | "closing" | "closed";

export class Session {
  state: State = "greeting";
  readonly #context: GatewayContext;
  readonly #socket: WebSocket;
  readonly #encoding: Encoding;
  readonly #outbox: Outbox;
  readonly #health: SessionHealth;
  readonly #views: SessionViews;
  readonly #feeds: SessionFeeds;
  readonly #live = new LiveTable<true>();
  /** Messages that came before the token was checked. */
  #waiting: Incoming[] = [];
  readonly #token: SessionToken;
  /** The doors that the client was told of. */
  #doors: readonly string[] | undefined;
  readonly #openedMs: number;
  #slowMs = -1;
  #closedMs = -1;

  constructor(context: GatewayContext, socket: WebSocket, raw: Socket, encoding: Encoding, address: string) {
    this.#context = context;
    this.#socket = socket;
    this.#encoding = encoding;
    this.#openedMs = context.clock.monotonic();
    this.#health = new SessionHealth(context.service.limits, this.#openedMs);
    this.#outbox = new Outbox(socket, raw, encoding, context.service.limits, {
      left: (id) => this.#views.left(id),
      tooSlow: () => this.#tooSlow(),
      slowed: () => {
        this.#slowMs = context.clock.monotonic();
        socket.pause();
      },
    });
    this.#views = new SessionViews(context.hub, this.#outbox);
    this.#feeds = new SessionFeeds(context, this.#outbox);
    this.#token = new SessionToken(context, address, {
      restart: (principal) => {
        this.#views.restart(principal);
        this.#feeds.restart(principal);
      },
      say: (message) => this.#send(message),
      refused: (error) => this.#refuse(error),
    });
    socket.on("message", (data, isBinary) => this.#take(data as Buffer, isBinary));
    socket.on("pong", () => this.#health.hear());
    socket.on("ping", () => this.#health.hear());
    socket.on("close", () => this.#closed());
    // A broken frame or a lost connection: `ws` closes the socket, and `close` follows.
    socket.on("error", () => {});
    raw.on("data", (chunk: Buffer) => this.#health.progress.take(chunk));
    raw.on("drain", () => this.#drained());
  }

  /** Commands and queries that are not answered. */
  get inflight(): number {
    return this.#live.size;
  }

  /** Checks every deadline of the connection. Called now and then, for all connections at once. */
  sweep(nowMs: number): void {
    const { limits } = this.#context.service;
    if (this.#closedMs >= 0) {
      if (nowMs - this.#closedMs > limits.handshakeMs) this.#socket.terminate();
      return;
    }
    if (this.state !== "open" && this.state !== "closing" && nowMs - this.#openedMs > limits.handshakeMs) {
      return this.#fail(
        new HoldfastError("request-timeout", "No valid token came in time."),
        closeCode.handshakeTimeout,
      );
    }
    if (this.#token.ended) return this.#expire();
    if (this.#slowMs >= 0 && nowMs - this.#slowMs > limits.slowMs) return this.#tooSlow();
    const verdict = this.#health.sweep(nowMs, this.#socket.isPaused);
    if (verdict === "half-frame")
      this.#fail(
        new HoldfastError("request-timeout", "A frame did not arrive whole in time."),
        closeCode.handshakeTimeout,
      );
    else if (verdict === "silent") this.#socket.terminate();
    else if (verdict === "ping" && this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  /** No new work from now on; over when what is in flight is answered. */
  drain(): void {
    if (this.state !== "open") return;
    this.state = "closing";
    if (this.#live.size > 0) this.#send({ t: "leaving" });
    this.#closeIfDone();
  }

  /** Where else this service can be reached, if the client does not know it already. */
  tellDoors(): void {
    const doors = this.#context.doors?.told;
    if (doors === undefined || doors === this.#doors || this.state !== "open") return;
    this.#doors = doors;
    this.#send({ t: "doors", doors });
  }

  /** Whoever has nothing in flight need not wait for those who have. */
  #closeIfDone(): void {
    if (this.state === "closing" && this.#live.size === 0) this.close(closeCode.shuttingDown);
  }

  /** Sends what is there and closes. */
  close(code: number): void {
    if (this.#closedMs >= 0) return;
    this.#outbox.flush();
    this.#closedMs = this.#context.clock.monotonic();
    this.#socket.resume();
    this.#socket.close(code);
    this.#release();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #take(data: Buffer, isBinary: boolean): void {
    this.#health.hear();
    if (this.#closedMs >= 0) return;
    try {
      if (isBinary !== (this.#encoding === "msgpack"))
        throw new HoldfastError("invalid-frame", "The frame is not of the agreed encoding.");
      const messages = parseClientMessages(data, this.#encoding, this.#context.service.limits);
      if (this.state === "greeting") this.#greet(messages);
      else if (this.state === "authenticating") this.#wait(messages, 0);
      else for (const message of messages) this.#dispatch(message);
    } catch (error) {
      this.#fail(this.#known(error), closeCode.badFrame);
    }
  }

  #greet(messages: readonly Incoming[]): void {
    const hello = messages[0];
    if (hello?.t !== "hello")
      return this.#fail(new HoldfastError("unauthenticated", "The first message is hello."), closeCode.unauthenticated);
    this.state = "authenticating";
    this.#socket.pause();
    this.#wait(messages, 1);
    this.#token.greet(hello.token, (principal) => this.#welcome(principal));
  }

  #wait(messages: readonly Incoming[], from: number): void {
    for (let index = from; index < messages.length; index++) this.#waiting.push(messages[index] as Incoming);
    if (this.#waiting.length > this.#context.service.limits.inflightPerConnectionMax) {
      this.#fail(new HoldfastError("overloaded", "Too many messages came before the welcome."), closeCode.badFrame);
    }
  }

  #welcome({ kind, id }: Principal): void {
    if (this.state !== "authenticating") return;
    const { service, clock } = this.#context;
    const { frameBytesMax, frameMessagesMax, frameValuesMax, inflightPerConnectionMax } = service.limits;
    this.state = "open";
    this.#send({
      t: "welcome",
      now: clock.now(),
      run: service.run,
      principal: { kind, id },
      limits: { frameBytesMax, frameMessagesMax, frameValuesMax, inflightPerConnectionMax },
    });
    this.#context.doors?.look();
    this.tellDoors();
    if (this.#context.draining) return this.drain();
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#socket.resume();
    try {
      for (const message of waiting) this.#dispatch(message);
    } catch (error) {
      this.#fail(this.#known(error), closeCode.badFrame);
    }
  }

  #refuse(error: unknown): void {
    const known = this.#known(error);
    const code =
      known.code === "unauthenticated"
        ? closeCode.unauthenticated
        : known.code === "forbidden"
          ? closeCode.forbidden
          : closeCode.shuttingDown;
    this.#fail(known, code);
  }

  #dispatch(message: Incoming): void {
    switch (message.t) {
      case "command":
        return this.#command(message);
      case "query":
        return this.#query(message);
      case "subscribe":
      case "follow":
        return this.#subscribe(message);
      case "unsubscribe":
        return this.#views.remove(message.id);
      case "unfollow":
        return this.#feeds.remove(message.id);
      case "credit":
        return this.#feeds.credit(message.id, message.items);
      case "fault":
        if (this.#inUse(message.id)) return this.#refuseId(message.id);
        return this.#send({ t: "error", id: message.id, code: message.code, detail: message.detail });
      case "ping":
        return this.#send({ t: "pong", now: this.#context.clock.now() });
      case "refresh":
        return this.#token.refresh(message.token);
      case "hello":
        throw new HoldfastError("invalid-frame", "There was a hello already.");
      default:
        message satisfies never;
    }
  }

  #command(message: Of<"command">): void {
    const principal = this.#admit(message.id);
    if (principal === undefined) return;
    const { service, quota } = this.#context;
    const reservation = quota.reserve(principal);
    const call: CommandCall = {
      entity: { type: message.type, key: message.key },
      command: message.name,
      input: message.input,
      requestId: message.id,
      principal,
      mayCreate: reservation !== undefined,
      ...(message.ifVersion === undefined ? undefined : { ifVersion: message.ifVersion }),
    };
    service.execute(call, (result) => {
      quota.settle(reservation, result.ok && result.created === true);
      this.#settle(message.id, result);
    });
  }

  #query(message: Of<"query">): void {
    const principal = this.#admit(message.id);
    if (principal === undefined) return;
    const entity = { type: message.type, key: message.key };
    const read = readOptions(message.consistency, message.lagMs);
    this.#context.service.query({ entity, query: message.name, input: message.input, principal, ...read }, (result) =>
      this.#settle(message.id, result),
    );
  }

  /** The principal to run as, or undefined if the message was answered with a refusal. */
  #admit(id: string | number): Principal | undefined {
    if (this.#inUse(id)) {
      this.#refuseId(id);
      return undefined;
    }
    if (this.state === "closing") return this.#stopping(id);
    if (this.#live.size >= this.#context.service.limits.inflightPerConnectionMax) {
      return this.#turnAway(id, "overloaded", "Too much is in flight on this connection; wait for answers.");
    }
    this.#live.set(id, true);
    return this.#token.principal;
  }

  #turnAway(id: string | number, code: "unavailable" | "overloaded", detail: string): undefined {
    this.#send({ t: "error", id, code, detail, retryAfterMs: retryAfterMs(code) });
  }

  /** It need not wait: elsewhere it is served at once. */
  #stopping(id: string | number): undefined {
    const detail = "This node is stopping; ask again on a new connection.";
    this.#send({ t: "error", id, code: "unavailable", detail });
  }

  #inUse(id: string | number): boolean {
    return this.#live.has(id) || (typeof id === "number" && (this.#views.has(id) || this.#feeds.has(id)));
  }

  /** Answered without an id, because the answer to that id is still to come. */
  #refuseId(id: string | number): void {
    this.#send({
      t: "error",
      code: "invalid-frame",
      detail: "The id of a message is in use on this connection.",
      details: { id },
    });
  }

  #settle(id: string | number, result: CallResult): void {
    if (!this.#live.delete(id) || this.state === "closed") return;
    this.#outbox.push(answerMessage(id, result));
    this.#closeIfDone();
  }

  #subscribe(message: Of<"subscribe" | "follow">): void {
    if (this.#inUse(message.id)) return this.#refuseId(message.id);
    if (this.state === "closing") return this.#stopping(message.id);
    if (message.t === "follow") return this.#feeds.add(message, this.#token.principal);
    if (this.#views.size >= this.#context.service.limits.subscriptionsPerConnectionMax) {
      return this.#turnAway(message.id, "overloaded", "This connection has as many subscriptions as it may.");
    }
    this.#views.add(message, this.#token.principal);
  }

  #send(message: ServerMessage): void {
    if (this.#closedMs < 0) this.#outbox.push(message);
  }

  #drained(): void {
    this.#feeds.drained();
    if (this.#slowMs < 0 || !this.#outbox.drained()) return;
    this.#slowMs = -1;
    if (this.state !== "authenticating") this.#socket.resume();
    this.#views.catchUp();
  }

  #tooSlow(): void {
    if (this.#closedMs >= 0) return;
    this.#closedMs = this.#context.clock.monotonic();
    this.#socket.close(closeCode.tooSlow);
    this.#release();
  }

  #expire(): void {
    this.#fail(new HoldfastError("unauthenticated", "The token has ended."), closeCode.unauthenticated);
  }

  /** Says why and closes. */
  #fail(error: HoldfastError, code: number): void {
    if (this.#closedMs >= 0) return;
    this.#send(frameError(error));
    this.close(code);
  }

  #known(error: unknown): HoldfastError {
    if (isHoldfastError(error)) return error;
    this.#context.report({
      where: "session",
      code: "internal",
      thrown: error instanceof Error ? error.name : typeof error,
    });
    return new HoldfastError("internal", "Something went wrong here.");
  }

  #closed(): void {
    if (this.#closedMs < 0) this.#closedMs = this.#context.clock.monotonic();
    this.#release();
  }

  /** Ends everything that would send; commands in flight go on, their answers are dropped. */
  #release(): void {
    this.state = "closed";
    this.#waiting = [];
    this.#token.close();
    this.#views.release();
    this.#feeds.release();
  }
}
