/**
 * A consumer in a process of its own, for tests that kill it: `node consumer.ts <pull|events|socket> <url> <file>`. It appends a line
 * per batch to the file: the cursor, and what came. A line is the batch and its acknowledgement in one; the next running begins
 * after the last whole one.
 */
import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../src/client/index.ts";
import { type Entities, readerToken } from "./service.ts";

export type ConsumerKind = "pull" | "events" | "socket";
export const consumerKinds: readonly ConsumerKind[] = ["pull", "events", "socket"];

export interface Line {
  readonly cursor: string;
  /** `<shard>-<offset>-<index>=<amount>` each. */
  readonly items: readonly string[];
}

/** The whole lines of a file, and how long they are. */
export function readLines(file: string): { readonly lines: readonly Line[]; readonly bytes: number } {
  if (!existsSync(file)) return { lines: [], bytes: 0 };
  const text = readFileSync(file, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const lines = whole.split("\n").filter((line) => line !== "");
  return { lines: lines.map((line) => JSON.parse(line) as Line), bytes: Buffer.byteLength(whole) };
}

interface Event {
  readonly id: string;
  readonly data: { readonly amount: number };
}
const itemOf = ({ id, data }: Event): string => `${id}=${data.amount}`;
const headers = { authorization: `Bearer ${readerToken}` };
const filter = "type=account&event=paid&limit=200";

class Consumer {
  readonly #url: string;
  readonly #file: string;
  #cursor: string | undefined;

  constructor(url: string, file: string) {
    this.#url = url;
    this.#file = file;
    const { lines, bytes } = readLines(file);
    // What a kill left of a line was not acknowledged.
    if (existsSync(file)) truncateSync(file, bytes);
    this.#cursor = lines.at(-1)?.cursor;
  }

  /** Never ends; a node that is gone is asked again. */
  async run(kind: ConsumerKind): Promise<never> {
    if (kind === "socket") await this.#socket();
    for (;;) {
      try {
        await (kind === "pull" ? this.#pull() : this.#events());
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // what `fetch` throws when there is nobody, or nobody any more
        await sleep(10);
      }
    }
  }

  #keep(cursor: string, items: readonly string[]): void {
    this.#cursor = cursor;
    if (items.length > 0) appendFileSync(this.#file, `${JSON.stringify({ cursor, items } satisfies Line)}\n`);
  }

  async #pull(): Promise<void> {
    const at = this.#cursor === undefined ? "from=beginning" : `cursor=${this.#cursor}`;
    const answer = await fetch(`${this.#url}/v1/feeds/changes?${filter}&wait=1&${at}`, { headers });
    if (answer.status === 503) return sleep(10);
    if (answer.status !== 200) throw new Error(await answer.text());
    const { cursor, events } = (await answer.json()) as { cursor: string; events: Event[] };
    this.#keep(cursor, events.map(itemOf));
  }

  async #events(): Promise<void> {
    const last = this.#cursor === undefined ? {} : { "last-event-id": this.#cursor };
    const answer = await fetch(`${this.#url}/v1/feeds/changes?${filter}`, {
      headers: { ...headers, accept: "text/event-stream", ...last },
    });
    if (answer.status === 503) return sleep(10);
    if (answer.status !== 200) throw new Error(await answer.text());
    const decoder = new TextDecoder();
    let text = "";
    let items: string[] = [];
    for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
        const fields = text.slice(0, end).split("\n");
        text = text.slice(end + 2);
        const data = fields.find((line) => line.startsWith("data: "));
        const id = fields.find((line) => line.startsWith("id: "));
        if (data !== undefined) items.push(itemOf(JSON.parse(data.slice(6)) as Event));
        if (id === undefined) continue;
        this.#keep(id.slice(4), items);
        items = [];
      }
    }
  }

  async #socket(): Promise<void> {
    const client = connect<Entities>({ url: this.#url, token: readerToken });
    const ask = { form: "changes", filter: { types: ["account"], events: ["paid"] } } as const;
    const start = this.#cursor === undefined ? {} : { start: { cursor: this.#cursor } };
    for await (const { items, cursor } of client.feed({ ...ask, ...start }, { limit: 200 })) {
      const kept: string[] = [];
      for (const item of items)
        if (item.event === "paid") kept.push(`${item.shard}-${item.offset}-${item.index}=${item.payload.amount}`);
      this.#keep(cursor, kept);
    }
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , kind = "pull", url = "", file = ""] = process.argv;
  await new Consumer(url, file).run(kind as ConsumerKind);
}
