/** The glossary holds in names: a word it refuses stands in no identifier outside the adapters. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertLaw, codeFiles, read } from "./tree.ts";
import { refusedNames, refusedWords, wordsOf } from "./words.ts";

const refused = refusedWords(read("docs/GLOSSARY.md"));

test("no name outside the adapters holds a word that the glossary refuses", () => {
  assert.ok(refused.length >= 7, "docs/GLOSSARY.md lists the refused words between backticks");
  const files = codeFiles.filter(({ path }) => !path.startsWith("src/adapters/"));
  assertLaw(
    files.flatMap((file) => refusedNames(file, refused)),
    "use the glossary's word for it (docs/GLOSSARY.md); one concept has one name.",
  );
});

test("the word law finds refused words inside names, and nothing else", () => {
  const names = (text: string) => refusedNames({ path: "src/core/a.ts", text }, ["leader", "grain"]);
  assert.equal(names("const oldLeaderId = 1;").length, 1);
  assert.equal(names("class A { #grains = 1; }").length, 1);
  assert.deepEqual(names("const leaderboard = 'leader'; const grained = 1;"), []);
  assert.deepEqual(wordsOf("HTTPLeader-maxMs"), ["http", "leader", "max", "ms"]);
});
