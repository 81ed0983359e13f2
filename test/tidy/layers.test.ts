/** Laws of direction: levels of folders, the browser's client, engines only in adapters. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { folderOf, isBuiltin, layerViolations } from "./layers.ts";
import { reachable } from "./reach.ts";
import { isReference, type Syntax, syntaxOf } from "./syntax.ts";
import { assertLaw, codeFiles, isTestCode, type TextFile } from "./tree.ts";
import { wordsOf } from "./words.ts";

const planted = (path: string, text: string): string[] => layerViolations(syntaxOf({ path, text }));

test("a file imports only from its own folder and from lower levels", () => {
  assertLaw(
    codeFiles.flatMap((file) => layerViolations(syntaxOf(file))),
    "move the code down to the level that needs it, or hand it in as a parameter or a port. docs: ARCHITECTURE.md, Levels.",
  );
});

test("the layer law finds each way to break it", () => {
  assert.equal(planted("src/core/a.ts", 'import { b } from "../ports/log.ts";').length, 1);
  assert.equal(planted("src/core/a.ts", 'import type { B } from "../runtime/node.ts";').length, 1);
  assert.equal(planted("src/core/a.ts", 'export { b } from "../gateway/b.ts";').length, 1);
  assert.equal(planted("src/core/a.ts", 'const b = await import("../gateway/b.ts");').length, 1);
  assert.equal(planted("src/core/a.ts", 'import { z } from "zod";').length, 1);
  assert.equal(planted("src/core/a.ts", 'import { StandardSchemaV1 } from "@standard-schema/spec";').length, 1);
  assert.equal(planted("src/runtime/a.ts", 'import { b } from "./a.harness.ts";').length, 1);
  assert.equal(planted("src/adapters/x/a.ts", 'import { b } from "../y/b.ts";').length, 1);
  assert.equal(planted("src/elsewhere/a.ts", "").length, 1);
  assert.equal(planted("examples/x/a.ts", 'import { b } from "../../src/index.ts";').length, 1);
  assert.deepEqual(planted("src/runtime/a.ts", 'import { b } from "../core/b.ts";'), []);
  assert.deepEqual(planted("src/adapters/x/a.ts", 'import { b } from "../system/b.ts";'), []);
  assert.deepEqual(planted("src/core/a.ts", 'import type { S } from "@standard-schema/spec";'), []);
});

test("nothing that the client imports needs Node", () => {
  const violations: string[] = [];
  for (const file of reachable(codeFiles, ["src/client/index.ts"], { values: true })) {
    const { imports } = syntaxOf(file);
    for (const { specifier, line, typeOnly } of imports) {
      if (!typeOnly && isBuiltin(specifier)) violations.push(`${file.path}:${line} imports ${specifier}`);
    }
    violations.push(...nodeGlobals(syntaxOf(file)));
  }
  assertLaw(
    violations,
    "the client runs in browsers: use what they have too, or move what needs Node to a file that the client does not import.",
  );
});

function nodeGlobals(syntax: Syntax): string[] {
  return syntax.nodes
    .filter((visited) => isReference(visited) && /^(Buffer|process|global)$/.test(String(visited.node["name"])))
    .map(({ node }) => `${syntax.file.path}:${syntax.lineOf(node.start)} uses ${String(node["name"])}`);
}

const engines = /^(lmdb|sqlite|postgres|postgresql|pg|redis|kafka|nats|jetstream|mysql|mongo|s3)$/;

function engineNames(file: TextFile): string[] {
  const syntax = syntaxOf(file);
  return syntax.nodes
    .filter(
      ({ node }) => node.type === "Identifier" && wordsOf(String(node["name"])).some((word) => engines.test(word)),
    )
    .map(({ node }) => `${file.path}:${syntax.lineOf(node.start)} ${String(node["name"])}`);
}

test("only adapters and presets name third-party engines", () => {
  const files = codeFiles.filter(
    ({ path }) => path.startsWith("src/") && !isTestCode(path) && !/^(adapters|presets)$/.test(folderOf(path)),
  );
  assertLaw(files.flatMap(engineNames), "name what the port means, not what the engine calls it.");
  assert.equal(engineNames({ path: "src/core/a.ts", text: "const lmdbEnv = 1;" }).length, 1);
});
