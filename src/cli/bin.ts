#!/usr/bin/env node
/**
 * The program `holdfast`; from source: `npx node --conditions=source src/cli/bin.ts`.
 *
 * Invariant: on a Node that cannot run Holdfast it says so in one sentence instead of failing on syntax or a module.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 24 || (major === 24 && minor < 15) || major === 25) {
  console.error(
    `holdfast needs Node 24.15 or newer in line 24, or 26 and newer; this is ${process.version}. Install one, then run it again.`,
  );
  process.exitCode = 2;
} else {
  const { main } = await import("./main.ts");
  await main(process.argv);
}

export {};
