/**
 * One consumer in a process of its own that pulls the whole change log over HTTP, a page at a time, and adds up its amounts:
 * `feeds-puller.ts <port> <items per page>`.
 */
const [port, limit] = process.argv.slice(2) as [string, string];

interface Page {
  readonly cursor: string;
  readonly events: readonly { readonly data: { readonly amount: number } }[];
}

const path = `http://127.0.0.1:${port}/v1/feeds/changes?type=wallet&limit=${limit}`;
const from = performance.now();
let [events, pages, bytes, sum] = [0, 0, 0, 0];
for (let cursor = ""; ; ) {
  const answer = await fetch(cursor === "" ? path : `${path}&cursor=${cursor}`);
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(text);
  const page = JSON.parse(text) as Page;
  if (page.events.length === 0) break;
  pages++;
  bytes += text.length;
  events += page.events.length;
  for (const { data } of page.events) sum += data.amount;
  cursor = page.cursor;
}
const { user, system } = process.cpuUsage();
process.send?.({ events, pages, bytes, sum, ms: performance.now() - from, cpuMicros: user + system });
process.disconnect?.();
