/** The cuts of the network, with real packets: what is cut is cut in the direction that was asked for, and what is healed is whole. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { type Cut, type Network, networkSkipReason, openNetwork } from "./network.ts";

const skip = networkSkipReason() ?? false;

const dial =
  "const s=require('net').connect({host:process.argv[1],port:+process.argv[2],timeout:400});" +
  "s.on('connect',()=>{console.log('open');s.destroy()}).on('timeout',()=>s.destroy()).on('error',()=>{})";
/** Datagrams, because a connection needs both directions. */
const hear =
  "const s=require('dgram').createSocket('udp4');s.on('message',(m)=>console.log(String(m)));" +
  "s.bind(9000,process.argv[1],()=>console.log('hears'))";
const say = "const s=require('dgram').createSocket('udp4');s.send(process.argv[2],9000,process.argv[1],()=>s.close())";

function runIn(network: Network, node: number, script: string, ...args: readonly string[]) {
  const line = [...network.commandOf(node), process.execPath, "-e", script, ...args];
  const [file, ...rest] = line as [string, ...string[]];
  const child = spawn(file, rest, { stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.setEncoding("utf8");
  return child;
}

test("a node is cut off from the database and from nothing else, and finds it again", { skip }, async () => {
  const network = openNetwork(2);
  const [database, door] = [createServer((socket) => socket.destroy()), createServer((socket) => socket.destroy())];
  try {
    for (const server of [database, door]) await new Promise<void>((done) => server.listen(0, network.host, done));
    const portOf = (server: typeof door) => (server.address() as AddressInfo).port;
    const ports = { database: portOf(database), door: 1 };
    const reaches = async (node: number, server: typeof door) => {
      const child = runIn(network, node, dial, network.host, String(portOf(server)));
      let said = "";
      child.stdout.on("data", (text) => {
        said += String(text);
      });
      await once(child, "close");
      return said.includes("open");
    };
    const look = () => Promise.all([reaches(0, database), reaches(0, door), reaches(1, database)]);
    assert.deepEqual(await look(), [true, true, true]);
    for (const direction of ["out", "in", "both"] as const) {
      network.cut([{ node: 0, end: { kind: "database" }, direction }], ports);
      assert.deepEqual(await look(), [false, true, true], direction);
    }
    network.cut([], ports);
    assert.deepEqual(await look(), [true, true, true]);
  } finally {
    database.close();
    door.close();
    network.close();
  }
});

test("between two nodes one direction can be cut, and the other goes on", { skip }, async () => {
  const network = openNetwork(2);
  const ears = [0, 1].map((node) => runIn(network, node, hear, network.hostOf(node)));
  try {
    const heard: string[] = [];
    let wake = () => {};
    for (const ear of ears) {
      await once(ear.stdout, "data");
      ear.stdout.on("data", (text) => {
        heard.push(...String(text).trim().split("\n"));
        wake();
      });
    }
    const tell = async (from: number, to: number, word: string) => {
      await once(runIn(network, from, say, network.hostOf(to), word), "close");
    };
    const cut = (cuts: readonly Cut[]) => network.cut(cuts, { database: 1, door: 2 });
    const end = { kind: "node", index: 1 } as const;
    // Of each pair the second one arrives whatever is cut, and after the first.
    cut([{ node: 0, end, direction: "out" }]);
    await tell(0, 1, "out");
    await tell(1, 0, "back");
    cut([{ node: 0, end, direction: "in" }]);
    await tell(1, 0, "in");
    await tell(0, 1, "there");
    cut([]);
    await tell(0, 1, "healed");
    await tell(1, 0, "healed");
    while (heard.length < 4) await new Promise<void>((done) => void (wake = done));
    assert.deepEqual(heard.sort(), ["back", "healed", "healed", "there"]);
  } finally {
    for (const ear of ears) ear.kill("SIGKILL");
    network.close();
  }
});
