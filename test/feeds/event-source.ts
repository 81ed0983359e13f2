/**
 * The standard `EventSource` over a wire that is cut again and again: `node --experimental-eventsource event-source.ts`. Prints the
 * amounts it was told, and how many connections that took.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Wire } from "../client/service.ts";
import { payMany, startService } from "./service.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-event-source-"));
const service = await startService(directory);
const wire = await new Wire(() => service.gateway.port).listen();
const count = 1_500;
const amounts: number[] = [];
await payMany(service, count - 500, 20);
const source = new EventSource(`${wire.url.replace("ws:", "http:")}/v1/feeds/changes?type=account&limit=100`);
const all = new Promise<void>((resolve) => {
  source.addEventListener("change", ({ data }: MessageEvent<string>) => {
    amounts.push((JSON.parse(data) as { data: { amount: number } }).data.amount);
    if (amounts.length === 250 || amounts.length === 700) wire.cut();
    if (new Set(amounts).size === count) resolve();
  });
});
await payMany(service, 500, 20, count - 500);
await all;
source.close();
await wire[Symbol.asyncDispose]();
await service.stop();
rmSync(directory, { recursive: true });
console.log(JSON.stringify({ amounts, connections: wire.connections }));
