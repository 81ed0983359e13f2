/** Comments and layout go; whatever could mean something stays. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseSync } from "oxc-parser";
import { bareSource } from "./source-text.ts";

test("comments and layout change nothing", () => {
  const laid = `(state, event) => {
    // adds
    state.sum += event.amount /* always */ ;
    return   state . sum
  }`;
  assert.equal(bareSource(laid), "(state,event)=>{state.sum+=event.amount;return state.sum}");
  assert.equal(bareSource(bareSource(laid)), bareSource(laid));
});

test("what looks like a comment or layout inside of a text stays", () => {
  for (const kept of [
    'a="  // no /* comment */  "',
    "a='it\\'s  //  it'",
    "a=`  ${ b /* in */ + `  //  ` }  `",
    "a=/[/]  \\/\\/ '/g.test(b)",
    "return/  '/",
    "a=`${ { b: '}  `' }.b }  `",
  ]) {
    assert.equal(bareSource(kept), kept);
  }
});

test("a slash after a value divides", () => {
  assert.equal(bareSource("a / b / c // '\n"), "a/b/c");
  assert.equal(bareSource("(a) / b[0] / 2 /* ' */"), "(a)/b[0]/2");
});

test("texts that mean different things stay different", () => {
  const pairs: [string, string][] = [
    ["return\nx", "return x"],
    ["a\n++b", "a++\nb"],
    ["a + +b", "a ++b"],
    ["a - -b", "a--b"],
    ["let x", "letx"],
    ["'a b'", "'ab'"],
    ["`a b`", "`ab`"],
    ["/a b/", "/ab/"],
  ];
  for (const [one, other] of pairs) assert.notEqual(bareSource(one), bareSource(other));
});

test("our own code means the same without layout", () => {
  const folder = fileURLToPath(new URL("../", import.meta.url));
  for (const name of ["core/step.ts", "core/decide.ts", "core/owner.ts", "model/definition-check.ts", "wire/json.ts"]) {
    const code = stripTypeScriptTypes(readFileSync(`${folder}${name}`, "utf8"));
    assert.deepEqual(tree(bareSource(code)), tree(code), name);
  }
});

/** The syntax tree without its places. */
function tree(code: string): unknown {
  const { program, errors } = parseSync("code.js", code);
  assert.deepEqual(errors, []);
  return JSON.parse(JSON.stringify(program, (field, value) => (/^(?:start|end)$/.test(field) ? undefined : value)));
}
