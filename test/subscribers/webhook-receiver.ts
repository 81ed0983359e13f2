/**
 * A receiver of webhooks, as a process that can be killed: verifies each request by the reference library of Standard Webhooks, puts
 * the ids of its events on the disk, then answers. Arguments: port (0: any), file. Prints its port.
 */
import { fsyncSync, openSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { secret } from "./webhook-secret.ts";

const [port = "0", file = ""] = process.argv.slice(2);
const webhook = new Webhook(secret);
const kept = openSync(file, "a");
const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const events = webhook.verify(Buffer.concat(parts).toString(), headers) as { id: string }[];
    writeSync(kept, events.map(({ id }) => `${id.split("/").at(-1)}\n`).join(""));
    fsyncSync(kept);
    response.writeHead(204).end();
  });
});
server.listen(Number(port), "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
