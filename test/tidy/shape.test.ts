/** Laws of shape: short files, short functions, a head comment each, plain TypeScript. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileLinesMax, functionLinesMax, longFunctions, missingHead, refusedSyntax, tooLong } from "./shape.ts";
import { syntaxOf } from "./syntax.ts";
import { assertLaw, codeFiles } from "./tree.ts";

test(`a file has at most ${fileLinesMax} lines`, () => {
  assertLaw(codeFiles.flatMap(tooLong), "split it along its concepts: the part with its own invariant goes first.");
});

test(`a function has at most ${functionLinesMax} lines`, () => {
  assertLaw(
    codeFiles.flatMap((file) => longFunctions(syntaxOf(file))),
    "keep the branches in the parent and move the leaves out as pure functions.",
  );
});

test("a file opens with a comment that says what it is", () => {
  assertLaw(codeFiles.flatMap(missingHead), "say what the file is, which invariant it keeps, what it may not do.");
});

test("no any, enum, namespace, parameter property, default export or export *", () => {
  assertLaw(
    codeFiles.flatMap((file) => refusedSyntax(syntaxOf(file))),
    "use unknown and a check, a union of literals, a file, a field, a named export.",
  );
});

test("the laws of shape find each way to break them, and nothing else", () => {
  const file = (text: string) => ({ path: "src/core/a.ts", text });
  const lines = (count: number) => "x();\n".repeat(count);
  assert.deepEqual(tooLong(file(lines(fileLinesMax))), []);
  assert.equal(tooLong(file(lines(fileLinesMax + 1))).length, 1);
  const long = (body: number) => longFunctions(syntaxOf(file(`const f = () => {\n${lines(body)}};\n`)));
  assert.deepEqual(long(functionLinesMax - 2), []);
  assert.equal(long(functionLinesMax - 1).length, 1);
  assert.equal(longFunctions(syntaxOf(file(`class A { m() {\n${lines(80)}} }`))).length, 1);
  assert.equal(longFunctions(syntaxOf(file(`const f = () => ({ g: () => {\n${lines(80)}} });`))).length, 1);
  assert.equal(missingHead(file("const a = 1;")).length, 1);
  assert.equal(missingHead(file("/** Short. */\nconst a = 1;")).length, 1);
  assert.deepEqual(missingHead(file("#!/usr/bin/env node\n/** What the command line does with its arguments. */")), []);
  const refused = (text: string) => refusedSyntax(syntaxOf(file(text))).length;
  assert.equal(refused("let a: any;"), 1);
  assert.equal(refused("const a = b as any[];"), 1);
  assert.equal(refused("enum A { b }"), 1);
  assert.equal(refused("namespace A { export const b = 1 }"), 1);
  assert.equal(refused("class A { constructor(readonly b: number) {} }"), 1);
  assert.equal(refused("export default 1;"), 1);
  assert.equal(refused('export * from "./b.ts";'), 1);
  assert.equal(refused('declare module "x" { export const b: number }'), 0);
});
