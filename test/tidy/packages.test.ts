/** Laws of packaging: the lock is whole for everybody, the exports exist, each dependency is argued for. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { isBuiltin, packageNameOf } from "./layers.ts";
import { lockViolations } from "./lock.ts";
import { resolveImport, syntaxOf } from "./syntax.ts";
import { assertLaw, codeFiles, isTestCode, packageJson, read, root } from "./tree.ts";

const own = packageJson();

test("the tests run under the Node that package.json pins", () => {
  const pinned = own.devDependencies["node"] ?? "";
  assert.equal(
    process.versions.node.split(".")[0],
    "26",
    `This is Node ${process.version}. An old Node finds no .ts tests and reports success. Run \`npm ci && npm test\`.`,
  );
  assert.equal(pinned.split(".")[0], "26", "package.json pins Node 26 as a devDependency");
  assert.equal(read(".nvmrc").trim(), "26", ".nvmrc names the same Node");
});

test("the lock holds the packages of every platform, and no address of a registry", () => {
  assertLaw(
    lockViolations(JSON.parse(read("package-lock.json"))),
    "run `npm install` with omit-lockfile-registry-resolved=true under the pinned Node; if a platform's package is missing in the registry, take a version that is whole.",
  );
});

test("the lock law finds a missing platform package and an address", () => {
  const packages = { "": {}, "node_modules/a": { optionalDependencies: { "a-linux": "1.0.0" } } };
  assert.equal(lockViolations({ packages }).length, 1);
  const resolved = ["https:", "", "host", "b.tgz"].join("/");
  assert.equal(lockViolations({ packages: { "node_modules/b": { resolved } } }).length, 1);
  assert.deepEqual(lockViolations({ packages: { "node_modules/b": { resolved: "examples/b", link: true } } }), []);
});

test("versions are exact", () => {
  const given = Object.entries({ ...own.dependencies, ...own.devDependencies });
  assertLaw(
    given
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${name}@${version}`),
    "write the version without ^ or ~: the registry may lack packages of the newest release.",
  );
});

test("every export of the package exists as source, and its built files have the same place", () => {
  const violations: string[] = [];
  for (const [name, target] of Object.entries(own.exports)) {
    if (typeof target === "string") {
      if (!existsSync(join(root, target))) violations.push(`${name}: ${target} does not exist`);
      continue;
    }
    const source = target["source"] ?? "";
    const built = source.replace(/^\.\/src\//, "./dist/").replace(/\.ts$/, "");
    if (!existsSync(join(root, source))) violations.push(`${name}: ${source} does not exist`);
    if (target["types"] !== `${built}.d.ts`) violations.push(`${name}: types are not ${built}.d.ts`);
    if (target["default"] !== `${built}.js`) violations.push(`${name}: default is not ${built}.js`);
  }
  const { bin } = JSON.parse(read("package.json")) as { bin: Readonly<Record<string, string>> };
  for (const [name, built] of Object.entries(bin)) {
    const source = built.replace(/^dist\//, "src/").replace(/\.js$/, ".ts");
    if (!existsSync(join(root, source))) violations.push(`the program ${name}: ${source} does not exist`);
    else if (!read(source).startsWith("#!")) violations.push(`the program ${name}: ${source} does not begin with #!`);
  }
  assertLaw(violations, "make the file, or take the entry out of `exports` or `bin` in package.json.");
});

test("neither test code nor the simulator, with its planted bugs, is built or published", () => {
  const { exclude } = JSON.parse(read("tsconfig.build.json")) as { exclude: readonly string[] };
  const unpublished = own.files.filter((pattern) => pattern.startsWith("!")).map((pattern) => pattern.slice(1));
  const isIn = (path: string, patterns: readonly string[]) =>
    patterns.some((pattern) => path.startsWith(`${pattern}/`) || posix.matchesGlob(path, pattern));
  const internal = codeFiles.filter(
    ({ path }) => /^src\/sim\//.test(path) || (path.startsWith("src/") && isTestCode(path)),
  );
  const violations: string[] = [];
  for (const { path } of internal) {
    if (!isIn(path, exclude)) violations.push(`${path} is built`);
    if (!isIn(path, unpublished)) violations.push(`${path} is published`);
  }
  assertLaw(violations, 'list it under "exclude" in tsconfig.build.json and with "!" under "files" in package.json.');
});

/** Names in backticks at the start of the list items of one section. */
function listed(section: string): string[] {
  const part =
    read("docs/DEPENDENCIES.md")
      .split(/^## /m)
      .find((one) => one.startsWith(section)) ?? "";
  return [...part.matchAll(/^- (`[^:]+`):/gm)]
    .flatMap(([, names]) => [...(names as string).matchAll(/`([^`]+)`/g)].map(([, name]) => name as string))
    .sort();
}

test("docs/DEPENDENCIES.md argues for exactly the dependencies there are", () => {
  const remedy = "write one line in docs/DEPENDENCIES.md: what it does here, why not ourselves.";
  assert.deepEqual(listed("At run time"), Object.keys(own.dependencies).sort(), remedy);
  assert.deepEqual(listed("For development"), Object.keys(own.devDependencies).sort(), remedy);
});

test("what is published imports only run-time dependencies, and each of them is imported", () => {
  const known = new Set(Object.keys({ ...own.dependencies, ...own.peerDependencies }));
  const imported = new Set<string>();
  const violations: string[] = [];
  for (const file of codeFiles) {
    if (!file.path.startsWith("src/") || file.path.startsWith("src/sim/") || isTestCode(file.path)) continue;
    for (const { specifier, line } of syntaxOf(file).imports) {
      if (resolveImport(file.path, specifier) !== undefined || isBuiltin(specifier)) continue;
      const name = packageNameOf(specifier);
      imported.add(name);
      if (!known.has(name)) violations.push(`${file.path}:${line} imports ${name}`);
    }
  }
  violations.push(...[...known].filter((name) => !imported.has(name)).map((name) => `${name} is imported nowhere`));
  assertLaw(violations, "add it to `dependencies` and argue for it in docs/DEPENDENCIES.md, or do without.");
});
