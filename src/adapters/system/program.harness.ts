/**
 * Servers that tests start: found in `artefacts/bin` or on the path, started on a port of 127.0.0.1, killed with real signals.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { delimiter, join } from "node:path";

export const artefacts = join(import.meta.dirname, "..", "..", "..", "artefacts");

export function findProgram(name: string): string | undefined {
  const folders = [join(artefacts, "bin"), ...(process.env["PATH"] ?? "").split(delimiter)];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Ports that are free now, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) await new Promise((done) => server.close(done));
  return ports;
}

export interface Program {
  /** SIGKILL, and waits for its end. */
  readonly kill: () => Promise<void>;
}

/** Starts it and waits until its port takes connections. */
export async function startProgram(path: string, args: readonly string[], port: number): Promise<Program> {
  const child = spawn(path, args, { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    told = `${told}${chunk.toString()}`.slice(-4_000);
  });
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  await untilListening(port, child, () => told);
  return {
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

async function untilListening(port: number, child: ChildProcess, told: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}: ${told()}`);
    const open = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => done(true));
      socket.on("connect", () => socket.destroy()).on("error", () => done(false));
    });
    if (open) return;
    await new Promise((done) => setTimeout(done, 20));
  }
}
