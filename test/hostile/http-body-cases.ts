/** HTTP bodies that no honest client sends, each with its answer. */
import { type Case, json, note, own, post } from "./http-cases.ts";

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

export const bodies: Case[] = [
  { name: "no JSON", ...note, body: "hello", status: 400, code: "invalid-frame" },
  { name: "half of JSON", ...note, body: '{"a":', status: 400, code: "invalid-frame" },
  { name: "two values", ...note, body: "{}{}", status: 400, code: "invalid-frame" },
  { name: "single quotes", ...note, body: "{'a':1}", status: 400, code: "invalid-frame" },
  { name: "a comma too many", ...note, body: "[1,]", status: 400, code: "invalid-frame" },
  { name: "a byte order mark", ...note, body: "\ufeff{}", status: 400, code: "invalid-frame" },
  { name: "no UTF-8", ...note, body: Uint8Array.of(0x22, 0xff, 0xfe, 0x22), status: 400, code: "invalid-frame" },
  { name: "overlong UTF-8", ...note, body: Uint8Array.of(0x22, 0xc0, 0xaf, 0x22), status: 400, code: "invalid-frame" },
  {
    name: "a surrogate in UTF-8",
    ...note,
    body: Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22),
    status: 400,
    code: "invalid-frame",
  },
  { name: "a lone surrogate, escaped", ...note, body: '"\\ud800"', status: 400, code: "invalid-frame" },
  { name: "surrogates in the wrong order", ...note, body: '"\\udc00\\ud800"', status: 400, code: "invalid-frame" },
  { name: "NaN", ...note, body: "NaN", status: 400, code: "invalid-frame" },
  { name: "Infinity", ...note, body: "[Infinity]", status: 400, code: "invalid-frame" },
  { name: "1e999", ...note, body: "1e999", status: 400, code: "invalid-frame" },
  { name: "-0", ...note, body: "[-0]", status: 400, code: "invalid-frame" },
  { name: "-0.0e5", ...note, body: "[-0.0e5]", status: 400, code: "invalid-frame" },
  { name: "2^53 + 1", ...note, body: "9007199254740993", status: 400, code: "invalid-frame" },
  { name: "a number of 41 digits", ...note, body: `0.${"1".repeat(39)}`, status: 413, code: "too-large" },
  { name: "a number of 100,000 digits", ...note, body: "1".repeat(100_000), status: 413, code: "too-large" },
  { name: "a key twice", ...note, body: '{"a":1,"a":2}', status: 400, code: "invalid-frame" },
  { name: "a key twice, once escaped", ...note, body: '{"a":1,"\\u0061":2}', status: 400, code: "invalid-frame" },
  {
    name: "a key twice, deep down",
    ...note,
    body: '[{"b":[{"a":1,"c":{"a":3},"a":2}]}]',
    status: 400,
    code: "invalid-frame",
  },
  { name: "65 levels", ...note, body: nested(65), status: 400, code: "invalid-frame" },
  { name: "100,000 levels", ...note, body: nested(100_000), status: 400, code: "invalid-frame" },
  { name: "100,000 levels that never end", ...note, body: "[".repeat(100_000), status: 400, code: "invalid-frame" },
  { name: "too many values", ...note, body: `[${"1,".repeat(40_000)}1]`, status: 413, code: "too-large" },
  { name: "too many objects", ...note, body: `[${"{},".repeat(20_000)}1]`, status: 413, code: "too-large" },
  { name: "a body over the limit", ...note, body: `"${"x".repeat(300_000)}"`, status: 413, code: "too-large" },
  {
    name: "an input over the limit in a body under it",
    ...note,
    body: `"${"x".repeat(100_000)}"`,
    status: 413,
    code: "too-large",
  },
  {
    name: "the wrong type for a field",
    ...post,
    path: `${own}/commands/credit`,
    body: '{"amount":"5"}',
    status: 400,
    code: "invalid-input",
  },
  {
    name: "a negative amount",
    ...post,
    path: `${own}/commands/credit`,
    body: '{"amount":-5}',
    status: 400,
    code: "invalid-input",
  },
  {
    name: "a fraction of an amount",
    ...post,
    path: `${own}/commands/credit`,
    body: '{"amount":0.5}',
    status: 400,
    code: "invalid-input",
  },
  {
    name: "no input where one is needed",
    method: "POST",
    path: `${own}/commands/credit`,
    status: 400,
    code: "invalid-input",
  },
  { name: "null as input", ...post, path: `${own}/commands/credit`, body: "null", status: 400, code: "invalid-input" },
  {
    name: "text/plain, which needs no preflight",
    method: "POST",
    headers: { "content-type": "text/plain" },
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "a form, which needs no preflight",
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    path: `${own}/commands/credit`,
    body: "amount=5",
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "a body without a type",
    method: "POST",
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "JSON in UTF-16",
    method: "POST",
    headers: { "content-type": "application/json; charset=utf-16" },
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "a compressed body",
    method: "POST",
    headers: { ...json, "content-encoding": "gzip" },
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
];

export const reserved: Case[] = ["__proto__", "constructor", "prototype"].flatMap((name) => {
  const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
  const deep = (key: string, depth: number): string =>
    `${'{"a":['.repeat(depth)}{"${key}":{"polluted":true}}${"]}".repeat(depth)}`;
  return [name, escaped].flatMap((key) =>
    [0, 1, 5, 31].map(
      (depth): Case => ({
        name: `the key ${key}, ${depth} levels down`,
        ...note,
        body: deep(key, depth),
        status: 400,
        code: "invalid-frame",
      }),
    ),
  );
});
