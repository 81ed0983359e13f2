/**
 * A real HTTP receiver of webhooks: verifies each request with the reference library of Standard Webhooks, reads its events with the
 * library of CloudEvents, and has the faults that receivers have.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { HTTP, type Message } from "cloudevents";
import { Webhook } from "standardwebhooks";
import type { Plain } from "../../std/plain.ts";

export interface Received {
  readonly subscriber: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly events: readonly ReceivedEvent[];
}

export interface ReceivedEvent {
  readonly id: string;
  readonly source: string;
  readonly data: Plain;
}

export type ReceiverFault = "lose-answer" | "cut" | "hang";
export type Answering = (request: IncomingMessage, response: ServerResponse) => void;

export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  /** Requests that no secret of the receiver verifies. */
  readonly unverified: readonly string[];
  /** Of the next request. */
  fault: ReceiverFault | undefined;
  /** Called when a request is not answered. */
  onHang: () => void;
  /** Answers in place of 204, once a request is verified. */
  answering: Answering | undefined;
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
}

export async function startReceiver(secret: string): Promise<Receiver> {
  const verifier = new Webhook(secret);
  const received: Received[] = [];
  const unverified: string[] = [];
  let server: Server | undefined;
  let port = 0;

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { fault } = receiver;
    receiver.fault = undefined;
    if (fault === "hang") return receiver.onHang();
    if (fault === "cut") return void request.socket.destroy();
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces).toString();
    const headers = request.headers as Record<string, string>;
    try {
      verifier.verify(body, headers);
    } catch (error) {
      unverified.push(String(error));
      return void response.writeHead(401).end();
    }
    // Checks every event. The data are read beside it: it leaves null and empty text out.
    HTTP.toEvent({ headers, body } as Message);
    const read = JSON.parse(body) as ReceivedEvent | ReceivedEvent[];
    const subscriber = decodeURIComponent(headers["holdfast-subscriber"] ?? "");
    received.push({ subscriber, headers, body, events: Array.isArray(read) ? read : [read] });
    if (fault === "lose-answer") return void request.socket.destroy();
    if (receiver.answering !== undefined) return receiver.answering(request, response);
    response.writeHead(204).end();
  }

  async function up(): Promise<void> {
    server = createServer((request, response) => {
      take(request, response).catch(() => request.socket.destroy());
    });
    await new Promise<void>((done) => server?.listen(port, "127.0.0.1", done));
    port = (server.address() as AddressInfo).port;
  }

  async function down(): Promise<void> {
    const closing = server;
    server = undefined;
    if (closing === undefined) return;
    const gone = new Promise((done) => closing.close(done));
    closing.closeAllConnections();
    await gone;
  }

  await up();
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/hook?token=t`,
    received,
    unverified,
    fault: undefined,
    onHang: () => undefined,
    answering: undefined,
    down,
    up,
  };
  return receiver;
}
