/** Laws of the documents: what they say of files, commands, tests and error codes is so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { catalogue } from "../../src/model/errors.ts";
import { brokenLinks, headings, missingTests, staleQuotes, unknownNames, unknownScripts } from "./docs.ts";
import { placeTraces } from "./places.ts";
import { assertLaw, codeFiles, packageJson, read, textFiles } from "./tree.ts";

const documents = textFiles.filter(({ path }) => path.endsWith(".md"));

test("every link in a document leads to a file", () => {
  assertLaw(documents.flatMap(brokenLinks), "correct the link, or write the page.");
});

test("every test that a document quotes exists", () => {
  assertLaw(documents.flatMap(missingTests), "quote the test's name as it is now; a promise without a test goes.");
});

test("code that a document shows of a file is the file's code", () => {
  assertLaw(documents.flatMap(staleQuotes), "copy the file into the fence again; the file is what is tested.");
});

test("every path and name of code that a document of the root gives exists", () => {
  const code = codeFiles.map(({ text }) => text).join("\n");
  const pages = documents.filter(({ path }) => !path.includes("/") || path.startsWith("docs/patterns/"));
  assertLaw(
    pages.flatMap((file) => unknownNames(file, code)),
    "the code was renamed or moved: say what it is called now.",
  );
});

test("every script that a document names exists", () => {
  const scripts = Object.keys(packageJson().scripts);
  assertLaw(
    documents.flatMap((file) => unknownScripts(file, scripts)),
    "name a script of package.json.",
  );
});

test("the README shows the two commands on its first screen", () => {
  const screen = read("README.md").split("\n").slice(0, 40).join("\n");
  for (const command of ["npm ci && npm start", "npm ci && npm test"]) {
    assert.ok(screen.includes(command), `README.md: put \`${command}\` within the first 40 lines`);
  }
});

test("each error code has a section that gives its recovery and status, and says who does what", () => {
  const text = read("docs/errors/README.md");
  const violations: string[] = [];
  const sections = new Map(
    text
      .split(/^## /m)
      .slice(1)
      .map((part) => [part.slice(1, part.indexOf("`", 1)), part]),
  );
  for (const [code, { recovery, status }] of Object.entries(catalogue)) {
    const section = sections.get(code);
    if (section === undefined) violations.push(`no section for \`${code}\``);
    else {
      if (!section.includes(`\`${recovery}\`, HTTP ${status}`))
        violations.push(`${code}: say "\`${recovery}\`, HTTP ${status}"`);
      for (const part of ["**What happened.**", "**Caller.**", "**Operator.**"])
        if (!section.includes(part)) violations.push(`${code}: lacks ${part}`);
    }
  }
  for (const name of headings(text, 2)) {
    const code = name.replaceAll("`", "");
    if (name.startsWith("`") && !(code in catalogue)) violations.push(`\`${code}\` is not in the catalogue`);
  }
  assertLaw(violations, "write the section in docs/errors/README.md, or take it out with the code.");
});

test("each decision is numbered once and gives context, decision and consequences", () => {
  const decisions = documents.filter(({ path }) => path.startsWith("docs/decisions/"));
  const violations: string[] = [];
  const seen = new Set<string>();
  for (const { path, text } of decisions) {
    const number = /\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1];
    if (number === undefined) violations.push(`${path} is not named NNNN-title.md`);
    else if (seen.has(number)) violations.push(`${path}: the number is taken`);
    seen.add(number ?? path);
    const parts = headings(text, 2).join(" ");
    for (const part of ["Context", "Decision", "Consequences"])
      if (!parts.includes(part)) violations.push(`${path} has no section "${part}"`);
  }
  assertLaw(violations, "name it after the next free number and give it the three sections.");
});

test("no file holds a path of somebody's machine or the address of a package registry", () => {
  assertLaw(
    textFiles.flatMap((file) => placeTraces(file)),
    "make the path relative to the file; leave addresses of registries to the user's npm settings.",
  );
});

test("the laws of documents find what is wrong", () => {
  const page = (text: string) => ({ path: "docs/a.md", text });
  assert.equal(brokenLinks(page("[b](nowhere.md)")).length, 1);
  assert.deepEqual(brokenLinks(page("[b](../README.md#x) [c](https://example.org)")), []);
  assert.equal(missingTests(page('["no such sentence"](../package.json)')).length, 1);
  assert.equal(unknownScripts(page("`npm run nothing`"), ["test"]).length, 1);
  assert.equal(staleQuotes(page("```ts package.json\nother\n```\n")).length, 1);
  assert.equal(unknownNames(page("`core/nothing.ts` and `noSuchName`"), "").length, 2);
  assert.deepEqual(unknownNames(page("`core/owner.ts`, `stepOwner` and `npm test`"), "stepOwner"), []);
  const traces = (text: string) => placeTraces(page(text), ["hfbuild.example"]);
  assert.equal(traces(`see ${["", "home", "ann", "x"].join("/")}`).length, 1);
  assert.equal(traces(`see ${["registry", "npm", "example", "org"].join(".")}`).length, 1);
  assert.equal(traces("at hfbuild.example").length, 1);
  assert.deepEqual(traces(`a key of entity type/root/x and ${["src", "work", "a.ts"].join("/")}`), []);
});
