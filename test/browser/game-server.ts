/**
 * The real game server as a process of its own, with the page built for it.
 *
 * Invariant: every start takes the same data directory and port, so that a start after `kill` is the restart that players
 * live through; `stop` leaves no process and no file behind.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const START_MS_MAX = 30_000;

/** Builds the page as users get it. */
export async function buildPage(): Promise<void> {
  const vite = join(root, "node_modules/vite/bin/vite.js");
  await promisify(execFile)(process.execPath, [vite, "build", join(root, "examples/teen-patti/page")], { cwd: root });
}

export class GameServer {
  readonly #directory: string;
  readonly #bots: number;
  readonly #more: readonly string[];
  #process: ChildProcess | null = null;
  #url = "";

  private constructor(directory: string, bots: number, more: readonly string[]) {
    this.#directory = directory;
    this.#bots = bots;
    this.#more = more;
  }

  /** @param bots at each table. @param more of the command line */
  static async open(bots = 1, more: readonly string[] = []): Promise<GameServer> {
    const server = new GameServer(await mkdtemp(join(tmpdir(), "holdfast-browser-")), bots, more);
    await server.start();
    return server;
  }

  get url(): string {
    return this.#url;
  }

  /** Starts, or starts again, with the same data on the same port. */
  async start(): Promise<void> {
    const port = this.#url === "" ? "0" : new URL(this.#url).port;
    const child = spawn(
      process.execPath,
      [
        "--conditions=source",
        "examples/teen-patti/src/main.ts",
        "--port",
        port,
        "--data",
        this.#directory,
        "--bots",
        String(this.#bots),
        "--seed",
        "7",
        ...this.#more,
      ],
      { cwd: root, stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#process = child;
    let errors = "";
    child.stderr?.on("data", (data: Buffer) => (errors += data.toString()));
    this.#url = await listening(child, () => errors);
  }

  /** SIGKILL: nothing is flushed, nobody is told. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    this.#process = null;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function listening(child: ChildProcess, errors: () => string): Promise<string> {
  if (child.stdout === null) throw new Error("The server has no output.");
  const lines = createInterface({ input: child.stdout });
  const signal = AbortSignal.timeout(START_MS_MAX);
  for await (const line of lines) {
    const url = /http:\/\/[\d.]+:\d+/.exec(line)?.[0];
    if (url !== undefined) return url;
    if (signal.aborted) break;
  }
  throw new Error(`The server did not start:\n${errors()}`);
}
