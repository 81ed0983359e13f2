/**
 * `npm run feeds -- --form changes|absolutes|deltas|batches|consumers`: what each form of a feed costs, on this machine, now. Starts a
 * service in a directory of its own, lets players score on boards of 50 lines, and consumes what happens through the door.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type EmbeddedService, embedded } from "holdfast";
import { connect } from "holdfast/client";
import { board } from "./board.ts";
import { uuidV7 } from "./uuid.ts";

const { values: options } = parseArgs({
  options: { form: { type: "string", default: "changes" }, commands: { type: "string", default: "20000" } },
});
const commands = Number(options.commands);
const boards = 100;
const operator = { kind: "operator", id: "bench" } as const;

interface Page {
  readonly cursor: string;
  readonly reader?: string;
  readonly events: readonly { readonly type: string }[];
}

interface Taken {
  readonly items: number;
  readonly bytes: number;
  readonly answers: number;
  readonly ms: number;
  /** Of the items, those that are deltas. */
  readonly deltas?: { readonly items: number; readonly bytes: number };
}

const whole = (value: number) => Math.round(value).toLocaleString("en");

/** Scores, a thousand under way at a time. */
async function play(service: EmbeddedService, count: number): Promise<void> {
  let sent = 0;
  const caller = async (): Promise<void> => {
    while (sent < count) {
      const [entity, line] = [{ type: "board", key: `b${sent % boards}` }, (sent * 7) % 50];
      sent++;
      const call = {
        entity,
        command: "score",
        input: { line, points: 1 + (sent % 9) },
        requestId: uuidV7(),
        principal: operator,
      };
      await new Promise<void>((resolve, reject) => {
        service.node.execute(call, (result) => (result.ok ? resolve() : reject(new Error(result.detail))));
      });
    }
  };
  await Promise.all(Array.from({ length: 1_000 }, caller));
}

/** Pulls from `start` on until nothing is left and nobody plays any more. */
async function pull(
  service: EmbeddedService,
  path: string,
  over: () => boolean = () => true,
  start = "from=beginning",
): Promise<Taken> {
  const from = performance.now();
  const deltas = { items: 0, bytes: 0 };
  let [items, bytes, answers, at, reader] = [0, 0, 0, `&${start}`, ""];
  for (;;) {
    const last = over();
    const answer = await fetch(`${service.url}/v1/feeds/${path}${at}${reader}`);
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(text);
    const page = JSON.parse(text) as Page;
    at = `&cursor=${page.cursor}`;
    if (page.reader !== undefined) reader = `&reader=${page.reader}`;
    if (page.events.length === 0 && last) return { items, bytes, answers, ms: performance.now() - from, deltas };
    if (page.events.length === 0) continue;
    items += page.events.length;
    bytes += text.length;
    answers++;
    for (const event of page.events) {
      if (!event.type.endsWith(".delta")) continue;
      deltas.items++;
      deltas.bytes += JSON.stringify(event).length;
    }
  }
}

/** While a consumer that asks ten times a second follows: what each of the feeds brings. */
async function follow(service: EmbeddedService, paths: readonly string[]): Promise<Taken[]> {
  await play(service, boards);
  let over = false;
  const pulls = paths.map((path) => pull(service, `${path}&limit=16384&wait=0.1&linger=0.1`, () => over));
  const slice = Math.ceil(commands / 20);
  for (let done = 0; done < commands; done += slice) {
    await play(service, Math.min(slice, commands - done));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  over = true;
  return Promise.all(pulls);
}

function table(head: string, rows: readonly (readonly [string, Taken])[]): void {
  console.log(`| ${head} | items | bytes | B/item | answers | ms |`);
  console.log("|---|---|---|---|---|---|");
  for (const [name, { items, bytes, answers, ms }] of rows)
    console.log(
      `| ${name} | ${whole(items)} | ${whole(bytes)} | ${whole(bytes / items)} | ${whole(answers)} | ${whole(ms)} |`,
    );
}

async function changes(service: EmbeddedService): Promise<void> {
  await play(service, commands);
  await pull(service, "changes?type=board&limit=16384");
  const path = "changes?type=board&limit=4096";
  const one = `${path}&key=b7`;
  const rows = [
    ["everything", await pull(service, path)],
    ["one board of 100", await pull(service, one)],
    ["a quarter of the shards", await pull(service, `${path}&shard=0,1,2,3`)],
  ] as const;
  table("change log", rows);
}

async function absolutes(service: EmbeddedService): Promise<void> {
  const [state, view] = (await follow(service, ["absolutes?type=board", "absolutes?type=board&view=top"])) as [
    Taken,
    Taken,
  ];
  table("absolutes", [
    ["the state", state],
    ["the view `top`", view],
  ]);
  console.log(`\n${whole(commands)} commands on ${boards} boards; the state came ${whole(state.items)} times.`);
}

async function deltas(service: EmbeddedService): Promise<void> {
  const [absolute, delta] = (await follow(service, ["absolutes?type=board", "deltas?type=board"])) as [Taken, Taken];
  table("states", [
    ["as absolutes", absolute],
    ["as deltas", delta],
  ]);
  const { items, bytes } = delta.deltas ?? { items: 0, bytes: 0 };
  const each = bytes / items;
  const share = (each / (absolute.bytes / absolute.items)) * 100;
  console.log(`\n${whole(items)} of them were deltas, of ${whole(each)} B each: ${share.toFixed(1)} % of an absolute.`);
}

async function batches(service: EmbeddedService): Promise<void> {
  const rows: (readonly [string, Taken])[] = [];
  for (const rest of ["limit=100", "limit=16384&bytes=16384", "limit=16384&linger=0.25"]) {
    let over = false;
    const now = await fetch(`${service.url}/v1/feeds/changes?type=board&from=now`);
    const { cursor } = (await now.json()) as Page;
    const pulling = pull(service, `changes?type=board&wait=0.05&${rest}`, () => over, `cursor=${cursor}`);
    const slice = Math.ceil(commands / 10);
    for (let done = 0; done < commands; done += slice) {
      await play(service, slice);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    over = true;
    rows.push([`\`${rest}\``, await pulling]);
  }
  table("batches", rows);
}

async function consumers(service: EmbeddedService): Promise<void> {
  await play(service, commands);
  const rows: (readonly [string, Taken])[] = [
    ["in the process", await inProcess(service)],
    ["HTTP pull, 4,096 a page", await pull(service, "changes?type=board&limit=4096")],
    ["server-sent events", await stream(service)],
    ["WebSocket, typed client", await socket(service)],
  ];
  table("consumer", rows);
}

async function inProcess(service: EmbeddedService): Promise<Taken> {
  const from = performance.now();
  const feed = await service.feeds.open({
    form: "changes",
    filter: { types: ["board"] },
    start: "beginning",
    principal: operator,
  });
  let [items, answers] = [0, 0];
  while (items < commands) {
    items += (await feed.next({ itemsMax: 4_096 })).items.length;
    answers++;
  }
  feed.close();
  return { items, bytes: 0, answers, ms: performance.now() - from };
}

async function stream(service: EmbeddedService): Promise<Taken> {
  const from = performance.now();
  const abort = new AbortController();
  const url = `${service.url}/v1/feeds/changes?type=board`;
  const answer = await fetch(url, { headers: { accept: "text/event-stream" }, signal: abort.signal });
  const decoder = new TextDecoder();
  let [items, bytes, text] = [0, 0, ""];
  for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
    bytes += chunk.length;
    text += decoder.decode(chunk, { stream: true });
    const events = text.split("\n\n");
    text = events.pop() as string;
    for (const event of events) {
      const data = event.indexOf("data: ");
      if (data !== -1 && JSON.parse(event.slice(data + 6)) !== null) items++;
    }
    if (items === commands) break;
  }
  abort.abort();
  return { items, bytes, answers: 1, ms: performance.now() - from };
}

async function socket(service: EmbeddedService): Promise<Taken> {
  let bytes = 0;
  class Counted extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => (bytes += (data as ArrayBuffer).byteLength));
    }
  }
  const from = performance.now();
  const client = connect<{ board: typeof board }>({ url: service.url, WebSocket: Counted });
  let [items, answers] = [0, 0];
  for await (const batch of client.feed({ form: "changes", filter: { types: ["board"] } }, { itemsAhead: 16_384 })) {
    items += batch.items.length;
    answers++;
    if (items === commands) break;
  }
  await client.close();
  return { items, bytes, answers, ms: performance.now() - from };
}

const forms = { changes, absolutes, deltas, batches, consumers };
const run = forms[options.form as keyof typeof forms];
if (run === undefined) throw new Error(`--form is one of ${Object.keys(forms).join(", ")}`);
const directory = mkdtempSync(join(tmpdir(), "holdfast-feeds-"));
const service = await embedded({
  entities: [board],
  directory,
  port: 0,
  progress: false,
  authenticate: async () => ({ principal: operator }),
  limits: { createsPerMinuteMax: 1_000_000 },
});
try {
  await run(service);
} finally {
  await service.stop();
  rmSync(directory, { recursive: true, force: true });
}
