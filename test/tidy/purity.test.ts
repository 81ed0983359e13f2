/** Laws of purity: the core is a function of its inputs; time and chance come from one place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { impurities, platformFiles, pureFolders, timeAndChance } from "./purity.ts";
import { syntaxOf } from "./syntax.ts";
import { assertLaw, codeFiles, isTestCode } from "./tree.ts";

const product = codeFiles.filter(({ path }) => path.startsWith("src/") && !isTestCode(path));

test("std, model and core do not wait, do no I/O and know no platform", () => {
  const pure = product.filter(({ path }) => pureFolders.test(path));
  assertLaw(
    pure.flatMap((file) => [...impurities(syntaxOf(file)), ...timeAndChance(syntaxOf(file))]),
    "let the core return an effect and the runtime perform it; take time and chance as inputs.",
  );
});

test("only the system adapter and the client's platform file read clocks, throw dice or set timers", () => {
  const others = product.filter(({ path }) => !platformFiles.test(path));
  assertLaw(
    others.flatMap((file) => timeAndChance(syntaxOf(file))),
    "take a Clock or Random from src/ports/clock.ts, so that a simulator can be the only source of either.",
  );
});

test("the purity laws find each way to break them, and nothing else", () => {
  const at = (text: string) => syntaxOf({ path: "src/core/a.ts", text });
  for (const text of [
    "Date.now();",
    "const now = Date.now;",
    "const a = new Date();",
    "Math.random();",
    "setTimeout(f, 1);",
    'import { randomBytes } from "node:crypto";',
    'import { setTimeout as sleep } from "node:timers/promises";',
    "performance.now();",
  ])
    assert.ok(timeAndChance(at(text)).length > 0, text);
  for (const text of [
    "async function f() {}",
    "const f = async () => 1;",
    "const p = new Promise(f);",
    "type P = Promise<void>;",
    "p.then(f);",
    "const bytes = Buffer.alloc(1);",
    'import fs from "node:fs";',
    "await p;",
    "class A { async f() {} }",
  ])
    assert.ok(impurities(at(text)).length > 0, text);
  const fine = at("const a = { Date: 1, setTimeout: 2 }; a.Date; if (x instanceof Promise) f(new RegExp('a'));");
  assert.deepEqual([...impurities(fine), ...timeAndChance(fine)], []);
  assert.deepEqual(timeAndChance(at("const a = new Date(ms);")), []);
});
