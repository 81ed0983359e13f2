/** Laws of use: no file is dead, no limit is only written down. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsDefault } from "../../src/model/limits.ts";
import { entryPoints, unusedLimits } from "./life.ts";
import { everyMention, reachable } from "./reach.ts";
import { assertLaw, codeFiles, textFiles } from "./tree.ts";

test("every file is reached from an entry point or a test", () => {
  const reached = new Set(reachable(codeFiles, entryPoints(textFiles), { values: false }));
  assertLaw(
    codeFiles.filter((file) => !reached.has(file)).map(({ path }) => `${path} is reached from nowhere`),
    "delete it, or import it where it is needed; a program of its own gets a script in package.json.",
  );
});

test("every limit is obeyed somewhere", () => {
  assertLaw(
    unusedLimits(Object.keys(limitsDefault), codeFiles),
    "enforce the limit where the thing grows, with a test at the limit and one beyond; or take it out.",
  );
});

test("the laws of use find what nobody uses", () => {
  const files = [
    { path: "src/a.ts", text: 'import { b } from "./b.ts";\nnew Worker("./worker.ts");' },
    { path: "src/b.ts", text: "limits.usedMax;" },
    { path: "src/worker.ts", text: "" },
    { path: "src/dead.ts", text: "" },
  ];
  const reached = reachable(files, ["src/a.ts"], { values: false }).map(({ path }) => path);
  assert.deepEqual(reached.sort(), ["src/a.ts", "src/b.ts", "src/worker.ts"]);
  assert.deepEqual(everyMention({ path: "a/b.ts", text: '"./c.ts"' }), ["./c.ts", "a/c.ts"]);
  assert.equal(unusedLimits(["usedMax", "forgottenMax"], files).length, 1);
});
