/**
 * The node processes of `npm run cluster`: started, killed, and started again by themselves, as a supervisor would.
 *
 * Invariants: a node keeps its name, its directory and the port of its door through all its runnings; after `stop` none is left.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { example } from "./page.ts";

/** Before one that ended is started again: long enough to see the others without it. */
const againMs = 3_000;
/** Of one that is told to end: it gives its shards away first. */
const stopMs = 15_000;
/** What is kept of the last words of one that ended by itself. */
const saidMax = 4_000;

export interface NodeSetup {
  readonly name: string;
  /** Of the first running; 0 takes a free one. */
  readonly port: number;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** For people: what happened. */
  readonly note: (text: string) => void;
}

export class NodeProcess {
  readonly name: string;
  readonly #setup: NodeSetup;
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  #stopping = false;
  #again: NodeJS.Timeout | undefined;
  /** Of its door; empty before the first start. */
  url = "";
  ready = false;
  restarts = 0;

  constructor(setup: NodeSetup) {
    this.#setup = setup;
    this.name = setup.name;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when it serves. @throws it ended before */
  start(): Promise<void> {
    const { args, env, port } = this.#setup;
    const at = this.url === "" ? String(port) : new URL(this.url).port;
    const program = ["--conditions=source", "--disable-proto=delete", join(example, "src", "main.ts")];
    const child = spawn(process.execPath, [...program, "--port", at, ...args], {
      env: { ...process.env, ...env },
      // It ends with us: the last of the four.
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    let said = "";
    child.stderr?.on("data", (bytes) => {
      said = (said + String(bytes)).slice(-saidMax);
    });
    return new Promise((resolve, reject) => {
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
        const url = / is on (http:\/\/\S+)/.exec(line)?.[1];
        if (url === undefined) return;
        this.url = url;
        this.ready = true;
        resolve();
      });
      this.#gone = new Promise((gone) => {
        child.once("close", (code, signal) => {
          this.#ended(code === null ? String(signal) : `code ${code}`, said);
          gone();
          reject(new Error(`Node ${this.name} ended before it served: ${said}`));
        });
      });
    });
  }

  /** SIGKILL, as a machine that is gone. */
  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  /** SIGTERM, and SIGKILL if that takes too long. Not started again. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#again);
    if (this.#child === undefined) return;
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.kill(), stopMs);
    await this.#gone;
    clearTimeout(late);
  }

  #ended(how: string, said: string): void {
    this.#child = undefined;
    this.ready = false;
    if (this.#stopping) return;
    const { note } = this.#setup;
    note(`${this.name} ended (${how}); it is started again in ${againMs / 1_000} s`);
    if (how.startsWith("code") && how !== "code 75") note(said);
    this.#again = setTimeout(() => {
      this.restarts++;
      this.start().then(
        () => note(`${this.name} is back`),
        () => {}, // it is noted, and started again
      );
    }, againMs);
  }
}
