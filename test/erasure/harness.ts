/**
 * What the tests of erasure share: the process that holds personal data, and the search for a text in its files.
 *
 * Invariant: a file that holds the text in a compressed block is found too.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import { root } from "../cli/harness.ts";

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
export const canary = "Canary-of-the-Coal-Mine";

const children = new Set<ChildProcess>();
// A test that fails leaves its process behind, which would keep the file from ending.
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

export class Server {
  readonly #child: ChildProcess;
  readonly url: string;
  readonly output: string[];

  private constructor(child: ChildProcess, url: string, output: string[]) {
    this.#child = child;
    this.url = url;
    this.output = output;
  }

  static async start(directory: string): Promise<Server> {
    const program = ["--conditions=source", join(root, "test/erasure/server.ts"), directory];
    const child = spawn(process.execPath, program, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const output: string[] = [];
    createInterface({ input: child.stderr as NonNullable<typeof child.stderr> }).on("line", (line) =>
      output.push(line),
    );
    children.add(child);
    const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
    const url = await new Promise<string>((resolve, reject) => {
      lines.on("line", (line) => line.startsWith("ready ") && resolve(line.slice(6)));
      child.once("exit", (code) => reject(new Error(`ended with ${code}: ${output.join("\n")}`)));
    });
    return new Server(child, url, output);
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill(signal);
    await exited;
  }

  async ask(path: string, input?: unknown, token = "user"): Promise<{ status: number; text: string; value: unknown }> {
    const response = await fetch(`${this.url}${path}`, {
      method: input === undefined ? "GET" : "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      ...(input === undefined ? {} : { body: JSON.stringify(input) }),
    });
    const text = await response.text();
    return { status: response.status, text, value: (JSON.parse(text) as { value?: unknown }).value };
  }
}

export const people = "/v1/entities/person";
export const paths = {
  name: `${people}/ann/queries/name`,
  card: `${people}/ann/views/card`,
  names: "/v1/entities/room/hall/views/names",
};

/** Every file of the data directory that holds the text, as it is or in a compressed block. */
export function filesWith(directory: string, text: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const bytes = readFileSync(path);
      return bytes.includes(text) || bytes.includes(text, 0, "utf16le") || unpacked(bytes).includes(text);
    });
}

/** The blocks of a snapshot's object that are compressed: 4 raw length, 4 stored length, then the bytes. */
function unpacked(bytes: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let at = bytes.indexOf(zstdMagic); at >= 0; at = bytes.indexOf(zstdMagic, at + 1)) {
    const length = at < 4 ? 0 : bytes.readUInt32LE(at - 4);
    if (at + length <= bytes.length) blocks.push(zstdDecompressSync(bytes.subarray(at, at + length)));
  }
  return Buffer.concat(blocks);
}

export async function writeEverywhere(server: Server): Promise<void> {
  const registered = await server.ask(`${people}/ann/commands/register`, { name: canary });
  assert.deepEqual(registered.value, { name: canary }, "the caller has it opened");
  const refused = await server.ask(`${people}/ann/commands/refuse`, { name: canary });
  assert.match(refused.text, new RegExp(`"reason":"no","details":\\{"name":"${canary}"\\}`));
  await server.ask(`${people}/bob/commands/register`, { name: "Bob" });
  assert.equal((await server.ask(`${people}/bob/commands/break`, { name: canary })).status, 500);
  const answered = async () => ((await server.ask(paths.card)).value as { answers: unknown[] }).answers.length === 2;
  const rebuilt = async () =>
    (await server.ask("/v1/operator/quarantine", undefined, "operator")).text.includes('"readable":true');
  while (!(await answered()) || !(await rebuilt())) await sleep(20);
  assert.deepEqual((await server.ask(paths.card)).value, { name: canary, answers: [canary, canary] });
  assert.ok(((await server.ask(paths.names)).value as string[]).includes(canary));
}
