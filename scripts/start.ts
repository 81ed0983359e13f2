/**
 * `npm start`: builds the page when it is missing or older than its sources, then runs the game server.
 *
 * Invariant: arguments and signals go to the server as they are, and its exit code is ours. A page that cannot be built
 * does not keep the server from starting.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { buildStalePage, example } from "./page.ts";

buildStalePage();

const server = spawn(
  process.execPath,
  ["--conditions=source", "--disable-proto=delete", join(example, "src", "main.ts"), ...process.argv.slice(2)],
  { stdio: "inherit" },
);
// The terminal sends SIGINT to the whole group; a supervisor sends SIGTERM to this process alone.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => server.kill("SIGTERM"));
server.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
