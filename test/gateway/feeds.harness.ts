/** A service whose feeds are asked over HTTP, and what comes of it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Limits } from "../../src/model/limits.ts";
import type { EmbeddedService } from "../../src/presets/embedded.ts";
import type { Plain } from "../../src/std/plain.ts";
import { readerToken, startService } from "../feeds/service.ts";

export interface Event {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly sequence: string;
  readonly fromsequence?: string;
  readonly shard: number;
  readonly data: Plain;
}
export interface Answer {
  readonly cursor: string;
  readonly reader?: string;
  readonly lag: { readonly records: number };
  readonly events: readonly Event[];
}

export class Place implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "holdfast-feeds-door-"));
  service!: EmbeddedService;
  readonly #limits: Partial<Limits>;
  #port = 0;

  constructor(limits: Partial<Limits> = {}) {
    this.#limits = limits;
  }

  async start(): Promise<this> {
    this.service = await startService(this.directory, this.#port, this.#limits);
    this.#port = this.service.gateway.port;
    return this;
  }

  fetch(path: string, headers: Record<string, string> = {}, token = readerToken): Promise<Response> {
    return fetch(`${this.service.url}/v1/feeds/${path}`, { headers: { authorization: `Bearer ${token}`, ...headers } });
  }

  async pull(path: string): Promise<Answer> {
    const answer = await this.fetch(path);
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return JSON.parse(text) as Answer;
  }

  async refusal(path: string, headers: Record<string, string> = {}, token = readerToken): Promise<unknown> {
    const answer = await this.fetch(path, headers, token);
    assert.equal(answer.headers.get("content-type"), "application/problem+json");
    const problem = (await answer.json()) as { status: number; code: string };
    assert.equal(answer.status, problem.status);
    return problem.code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop();
    rmSync(this.directory, { recursive: true });
  }
}

export const changes = "changes?type=account";
export const amountOf = (event: Event) => (event.data as { amount: number }).amount;
export const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);

/** One server-sent event. */
export interface Message {
  readonly id?: string;
  readonly event?: string;
  readonly data?: Event;
}

/** Reads a stream; ends it when it is not read any more. */
export async function* messagesOf(answer: Response): AsyncGenerator<Message> {
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "text/event-stream; charset=utf-8");
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const fields = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) => fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [id, event, data] = [field("id"), field("event"), field("data")];
      yield {
        ...(id === undefined ? {} : { id }),
        ...(event === undefined ? {} : { event }),
        ...(data === undefined ? {} : { data: JSON.parse(data) as Event }),
      };
    }
  }
}

export const events = { accept: "text/event-stream" };
