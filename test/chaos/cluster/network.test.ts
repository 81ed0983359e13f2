/** The cuts of the network, with real packets: what is cut is cut in the direction that was asked for, and what is healed is whole. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { networkSkipReason, openNetwork } from "./network.ts";

const dial =
  "const s=require('net').connect({host:process.argv[1],port:+process.argv[2],timeout:500});" +
  "s.on('connect',()=>{console.log('open');s.destroy()}).on('timeout',()=>s.destroy()).on('error',()=>{})";

test("a node is cut off from the database, and found again after", { skip: networkSkipReason() ?? false }, async () => {
  const network = openNetwork(2);
  const server = createServer((socket) => socket.destroy());
  try {
    await new Promise<void>((done) => server.listen(0, network.host, done));
    const { port } = server.address() as AddressInfo;
    const ports = { database: port, door: 1 };
    const reaches = async (node: number) => {
      const [program = "", ...args] = network.commandOf(node);
      const child = spawn(program, [...args, process.execPath, "-e", dial, network.host, String(port)]);
      let said = "";
      child.stdout.on("data", (bytes) => {
        said += String(bytes);
      });
      await new Promise((done) => child.once("close", done));
      return said.includes("open");
    };
    assert.equal(await reaches(0), true);
    for (const direction of ["out", "in", "both"] as const) {
      network.cut([{ node: 0, end: { kind: "database" }, direction }], ports);
      assert.equal(await reaches(0), false, direction);
      assert.equal(await reaches(1), true, "the other node is not cut");
    }
    network.cut([], ports);
    assert.equal(await reaches(0), true);
  } finally {
    server.close();
    network.close();
  }
});
