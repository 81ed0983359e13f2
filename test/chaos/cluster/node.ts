/** One node of the service under chaos, as a process. Argument: `NodeSettings` as JSON. Prints `ready` when it serves, and ends with its input. */
import { type NodeSettings, startSubject } from "./subject.ts";

process.stdin.once("close", () => process.exit(0)).resume();
const settings = JSON.parse(process.argv[2] ?? "null") as NodeSettings;
const url = await startSubject(settings);
console.log(`ready ${url}`);
