/** Frames after hello that end a connection, each with what it is told. */
import type { Encoding } from "../../src/wire/codec.ts";

/** A frame after hello that ends the connection. */
export interface Fatal {
  readonly name: string;
  readonly encoding: Encoding;
  /** Sent as it is if bytes or text, else encoded. */
  readonly frame: unknown;
  /** Default invalid-frame. Undefined-able: `ws` itself closes without a word of ours. */
  readonly code?: "invalid-frame" | "too-large" | "none";
  /** Default 4400. */
  readonly closes?: number;
}

const bytes = (...list: (number | string)[]): Uint8Array =>
  Buffer.concat(list.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from([part]))));

/** `[{t: "query", id: 1, ..., input: <bytes>}]` in msgpack, by hand. */
const withInput = (...input: (number | string)[]): Uint8Array =>
  bytes(
    0x91,
    0x86,
    0xa1,
    "t",
    0xa5,
    "query",
    0xa2,
    "id",
    0x01,
    0xa4,
    "type",
    0xa6,
    "wallet",
    0xa3,
    "key",
    0xa7,
    "mallory",
    0xa4,
    "name",
    0xa4,
    "echo",
    0xa5,
    "input",
    ...input,
  );
const jsonInput = (input: string): string =>
  `[{"t":"query","id":1,"type":"wallet","key":"mallory","name":"echo","input":${input}}]`;

export const msgpackFrames: Fatal[] = [
  { name: "nothing", frame: bytes() },
  { name: "a byte that msgpack does not use", frame: bytes(0xc1) },
  { name: "a scalar", frame: bytes(0x07) },
  { name: "a message without an array", frame: { t: "ping" } },
  { name: "no messages", frame: [] },
  { name: "a message that is null", frame: [null] },
  { name: "a message that is an array", frame: [[1]] },
  { name: "a message that is text", frame: ["ping"] },
  { name: "a message without t", frame: [{}] },
  { name: "a message of an unknown kind without an id", frame: [{ t: "admin" }] },
  { name: "the kind constructor", frame: [{ t: "constructor" }] },
  { name: "the kind as an object", frame: [{ t: { toString: 1 } }] },
  { name: "a second hello", frame: [{ t: "hello", token: "x" }] },
  { name: "bytes after the frame", frame: bytes(0x91, 0x81, 0xa1, "t", 0xa4, "ping", 0x00) },
  { name: "half a frame's message", frame: bytes(0x91, 0x81, 0xa1, "t", 0xa4, "pi") },
  { name: "an array that announces 2^32 - 1 items", frame: bytes(0xdd, 0xff, 0xff, 0xff, 0xff) },
  { name: "a map that announces 2^32 - 1 members", frame: bytes(0x91, 0xdf, 0xff, 0xff, 0xff, 0xff) },
  { name: "a string that announces 4 GiB", frame: bytes(0x91, 0xdb, 0xff, 0xff, 0xff, 0xff, "x") },
  { name: "1,025 messages", frame: Array.from({ length: 1_025 }, () => ({ t: "ping" })), code: "too-large" as const },
  { name: "40,000 values", frame: bytes(0xdc, 0x9c, 0x40, "\u0001".repeat(40_000)), code: "too-large" as const },
  { name: "input of a binary type", frame: withInput(0xc4, 0x01, 0x00) },
  { name: "input of an extension", frame: withInput(0xd4, 0x01, 0x00) },
  { name: "input of a timestamp", frame: withInput(0xd6, 0xff, 0x00, 0x00, 0x00, 0x00) },
  { name: "input of msgpackr's undefined", frame: withInput(0xd4, 0x00, 0x00) },
  { name: "input of msgpackr's record", frame: withInput(0xd4, 0x72, 0x40, 0x91, 0xa1, "a", 0x01) },
  { name: "input of an error extension", frame: withInput(0xc7, 0x01, 0x65, 0x90) },
  { name: "input with a key that is a number", frame: withInput(0x81, 0x01, 0x01) },
  { name: "input with a key that is nil", frame: withInput(0x81, 0xc0, 0x01) },
  { name: "input with a key that is a map", frame: withInput(0x81, 0x80, 0x01) },
  { name: "input with a key twice", frame: withInput(0x82, 0xa1, "a", 0x01, 0xa1, "a", 0x02) },
  { name: "input with a key twice in two lengths", frame: withInput(0x82, 0xa1, "a", 0x01, 0xd9, 0x01, "a", 0x02) },
  { name: "NaN", frame: withInput(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0) },
  { name: "Infinity", frame: withInput(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0) },
  { name: "Infinity in 32 bits", frame: withInput(0xca, 0xff, 0x80, 0, 0) },
  { name: "-0", frame: withInput(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0) },
  { name: "2^53 as an integer", frame: withInput(0xcf, 0x00, 0x20, 0, 0, 0, 0, 0, 0) },
  { name: "2^64 - 1", frame: withInput(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) },
  { name: "-2^63", frame: withInput(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0) },
  {
    name: "1e300, an integer that is not exact",
    frame: withInput(0xcb, 0x7e, 0x37, 0xe4, 0x3c, 0x88, 0x00, 0x75, 0x9c),
  },
  { name: "a string that is not UTF-8", frame: withInput(0xa2, 0xff, 0xfe) },
  { name: "a string that is overlong UTF-8", frame: withInput(0xa2, 0xc0, 0xaf) },
  { name: "a string with a surrogate", frame: withInput(0xa3, 0xed, 0xa0, 0x80) },
  { name: "a key that is not UTF-8", frame: withInput(0x81, 0xa1, 0xff, 0x01) },
  { name: "69 levels", frame: withInput("\u0091".repeat(69), 0x01) },
  { name: "100,000 levels", frame: withInput("\u0091".repeat(100_000), 0x01) },
  { name: "100,000 levels of maps", frame: withInput("\u0081\u00a1a".repeat(60_000), 0x01) },
  { name: "text", frame: '[{"t":"ping"}]' },
  { name: "more than a frame may have", frame: bytes("x".repeat(300_000)), code: "none" as const, closes: 1009 },
].map((fatal) => ({ encoding: "msgpack" as const, ...fatal }));

export const jsonFrames: Fatal[] = [
  { name: "nothing", frame: "" },
  { name: "white space", frame: "   " },
  { name: "no JSON", frame: "ping" },
  { name: "a message without an array", frame: '{"t":"ping"}' },
  { name: "no messages", frame: "[]" },
  { name: "half", frame: '[{"t":"ping"' },
  { name: "two frames", frame: '[{"t":"ping"}][{"t":"ping"}]' },
  { name: "binary", frame: Buffer.from('[{"t":"ping"}]') },
  { name: "a key twice", frame: '[{"t":"ping","t":"ping"}]' },
  { name: "a key twice, once escaped", frame: '[{"t":"ping","\\u0074":"ping"}]' },
  {
    name: "1,025 messages",
    frame: `[${Array.from({ length: 1_025 }, () => '{"t":"ping"}').join()}]`,
    code: "too-large" as const,
  },
  { name: "NaN", frame: jsonInput("NaN") },
  { name: "1e999", frame: jsonInput("1e999") },
  { name: "-0", frame: jsonInput("-0") },
  { name: "2^53", frame: jsonInput("9007199254740992") },
  { name: "1,000 digits", frame: jsonInput("1".repeat(1_000)), code: "too-large" as const },
  { name: "a lone surrogate", frame: jsonInput('"\\udfff"') },
  { name: "100,000 levels", frame: jsonInput("[".repeat(100_000)) },
  { name: "a comment", frame: '[{"t":"ping"}/* */]' },
].map((fatal) => ({ encoding: "json" as const, ...fatal }));

export const reservedFrames: Fatal[] = ["__proto__", "constructor", "prototype"].flatMap((key) => {
  const escaped = `\\u00${key.charCodeAt(0).toString(16)}${key.slice(1)}`;
  return [0, 1, 7, 60].flatMap((depth): Fatal[] => [
    {
      name: `input with ${key}, ${depth} levels down`,
      encoding: "msgpack",
      frame: withInput("\u0081\u00a1a".repeat(depth), 0x81, 0xa0 | key.length, key, 0x81, 0xa8, "polluted", 0xc3),
    },
    {
      name: `input with ${key}, ${depth} levels down`,
      encoding: "json",
      frame: jsonInput(`${'{"a":'.repeat(depth)}{"${key}":{"polluted":true}}${"}".repeat(depth)}`),
    },
    {
      name: `input with ${key} escaped, ${depth} levels down`,
      encoding: "json",
      frame: jsonInput(`${'{"a":'.repeat(depth)}{"${escaped}":1}${"}".repeat(depth)}`),
    },
  ]);
});
