/**
 * The processes of the nodes: started, killed, paused, resumed.
 *
 * Invariant: a process that ended without having been killed is told to `ended`, with what it said last; whoever holds a `Running` of
 * before does nothing to the one that runs now.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { NodeSettings } from "./subject.ts";

const program = fileURLToPath(new URL("node.ts", import.meta.url));
/** Of what a process said last. */
const saidMax = 4_000;
/** A paused one would outlive the harness. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface NodeHome {
  readonly settings: NodeSettings;
  /** Begins its command line: the way into its network. */
  readonly command: readonly string[];
  /** It said that an invariant is broken, whatever became of it. */
  readonly broken: (said: string) => void;
  /** It ended by itself. */
  readonly ended: (code: number | null, said: string) => void;
}

/** One process of a node. */
export class Running {
  readonly #home: NodeHome;
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #said = "";
  #killed = false;
  #over = false;
  #paused = false;
  #ready = false;
  /** Resolves when it serves, or is gone. */
  readonly served: Promise<void>;

  constructor(home: NodeHome) {
    this.#home = home;
    const node = [process.execPath, "--conditions=source", "--disable-proto=delete", program];
    const line: readonly string[] = [...home.command, ...node, JSON.stringify(home.settings)];
    const [file, ...args] = line as [string, ...string[]];
    // Its input ends with the harness, and it with its input.
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    running.add(child);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-saidMax);
      if (text.includes("Broken invariant")) home.broken(text);
    });
    this.#gone = new Promise((resolve) => child.once("close", resolve)).then(() => this.#ended());
    const ready = new Promise<void>((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (!line.startsWith("ready ")) return;
        this.#ready = true;
        resolve();
      });
    });
    this.served = Promise.race([ready, this.#gone]);
  }

  get isReady(): boolean {
    return this.#ready && !this.#over;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  get isOver(): boolean {
    return this.#over || this.#killed;
  }

  get said(): string {
    return this.#said;
  }

  /** SIGKILL, also of one that is paused. Resolves when it is gone. @returns whether it was there to be killed */
  async kill(): Promise<boolean> {
    const wasThere = !this.isOver;
    this.#killed = true;
    if (wasThere) this.#child.kill("SIGKILL");
    await this.#gone;
    return wasThere;
  }

  /** @returns whether it was running */
  pause(): boolean {
    if (this.isOver || this.#paused) return false;
    this.#paused = true;
    this.#child.kill("SIGSTOP");
    return true;
  }

  resume(): void {
    if (!this.#paused || this.isOver) return;
    this.#paused = false;
    this.#child.kill("SIGCONT");
  }

  #ended(): void {
    this.#over = true;
    running.delete(this.#child);
    if (!this.#killed) this.#home.ended(this.#child.exitCode, this.#said);
  }
}
