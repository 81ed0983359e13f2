/**
 * Messages between nodes to plain data and back, and frames of them to bytes and back.
 *
 *   frame := message+    message := length of body (u32 LE) · length of bytes + 1, or 0 without (u32 LE) · body (msgpack) · bytes
 *
 * Invariant: what comes out of `readPeer` has exactly the fields of `peer.ts`, each of its type; what went into `peerBody` comes out of
 * `readPeer` equal, or was refused before it left. Bytes of the log are carried as they are.
 */
import { type ErrorCode, HoldfastError, isErrorCode } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import { copyPlain, type Plain, PlainError } from "../std/plain.ts";
import { decodePlain, encodePlain } from "./codec.ts";
import { type GuardLimits, refuseFrame, refuseLarge } from "./guard.ts";
import type { PeerSaid, PeerUnknown, PeerVerb, PeerVersions } from "./peer.ts";
import { askShape, saidShapes } from "./peer-shapes.ts";

/** A message as a transport carries it. */
export interface PeerParts {
  readonly body: Plain;
  readonly bytes?: Uint8Array;
}

type Fields = { readonly [name: string]: unknown };

/** Levels around the data in a message: the message, a route, its send. */
const messageDepth = 4;
/** Array items and object members of one message: a report of 4,096 shards has 30,000, a list of calls 20 for each. */
const messageValuesMax = 1024 * 1024;
const headBytes = 8;
const operatorVerbs: ReadonlySet<string> = new Set(["move", "pin", "drain"] satisfies PeerVerb["verb"][]);

/** For one message. */
export function peerLimits(limits: Limits): GuardLimits {
  return {
    bytesMax: limits.peerFrameBytesMax,
    depthMax: limits.depthMax + messageDepth,
    valuesMax: messageValuesMax,
    numberCharsMax: limits.numberCharsMax,
  };
}

/** Those that hold what callers and operators gave, which may be anything. */
const ofCallers: ReadonlySet<PeerSaid["t"]> = new Set(["call", "watch", "verb"]);

/**
 * What a transport is given. What callers gave is checked and copied; other messages are made of what was recorded or decided here, and
 * are not looked at, but for texts of errors, which may be the author's.
 * @throws `invalid-input` it holds what is not plain data, or not of its type
 * @throws `too-large` it is over `peerFrameBytesMax`
 */
export function peerBody(said: PeerSaid, limits: Limits): Plain {
  if (!ofCallers.has(said.t)) return withWellFormedTexts(said) as unknown as Plain;
  try {
    // Sealed values may stand in it: whether they may in an input, the owner says.
    const { depthMax, bytesMax } = peerLimits(limits);
    const { value } = copyPlain(said as unknown, { depthMax, bytesMax, sealed: true });
    if (saidShapes.get(said.t)?.(value) !== true || (said.t === "call" && !isCall(value as Fields)))
      throw new HoldfastError("invalid-input", `The ${said.t} is not of its type.`);
    return value as Plain;
  } catch (error) {
    if (!(error instanceof PlainError)) throw error;
    const code = error.reason === "not-plain" ? "invalid-input" : "too-large";
    throw new HoldfastError(code, `The ${said.t} cannot go to another node: ${error.message}.`, { cause: error });
  }
}

/** Half a character in the message of an error would otherwise end the connection. */
function withWellFormedTexts(said: PeerSaid): PeerSaid {
  if (said.t === "answer" && "calls" in said) {
    if (said.calls.every(({ lastError }) => lastError?.isWellFormed() !== false)) return said;
    const calls = said.calls.map((call) => ({ ...call, lastError: call.lastError?.toWellFormed() ?? null }));
    return { ...said, calls };
  }
  if (said.t !== "answer" || !("result" in said) || said.result.ok || said.result.detail.isWellFormed()) return said;
  return { ...said, result: { ...said.result, detail: said.result.detail.toWellFormed() } };
}

function isCall(call: Fields): boolean {
  return saidShapes.get("call")?.(call) === true && askShape(call["verb"])?.(call["call"]) === true;
}

/**
 * Whether what a peer said is a message, and which.
 * @throws `invalid-frame` it is malformed: the connection should end
 */
export function readPeer(parts: PeerParts): PeerSaid | PeerUnknown {
  const { body } = parts;
  if (typeof body !== "object" || body === null || Array.isArray(body))
    refuseFrame("has a message that is not an object");
  const said = body as Fields;
  const kind = said["t"];
  if (typeof kind !== "string") refuseFrame("has a message without a kind");
  const fits = saidShapes.get(kind);
  if (fits === undefined || isUnknownVerb(said)) return unknown(said);
  if (!fits(said)) refuseFrame(`has a malformed ${kind}`);
  if (kind === "call" && !isCall(said)) refuseFrame("has a malformed call");
  const hasFrame = kind === "push" && (said["count"] as number) > 0;
  if (hasFrame !== (parts.bytes !== undefined)) refuseFrame(`has a ${kind} ${hasFrame ? "without its" : "with"} bytes`);
  return withKnownCode(said) as unknown as PeerSaid;
}

/** Of the service, or of operators. */
function isUnknownVerb({ t, verb }: Fields): boolean {
  if (typeof verb !== "string") return false;
  return t === "call" ? askShape(verb) === undefined : t === "verb" && !operatorVerbs.has(verb);
}

function unknown({ id }: Fields): PeerUnknown {
  return Number.isSafeInteger(id) && (id as number) >= 1 ? { t: "unknown", id: id as number } : { t: "unknown" };
}

/** A failure's code that only a newer node has says here that nobody knows what became of it; its text stays. */
function withKnownCode(said: Fields): Fields {
  for (const name of ["result", "news"]) {
    const inner = said[name] as Fields | undefined;
    if (inner?.["ok"] === false) return { ...said, [name]: { ...inner, code: knownCode(inner["code"]) } };
  }
  const isFailure = (said["t"] === "verb-answer" || said["t"] === "reported") && said["ok"] === false;
  return isFailure ? { ...said, code: knownCode(said["code"]) } : said;
}

function knownCode(code: unknown): ErrorCode {
  return isErrorCode(code) ? code : "outcome-unknown";
}

/** A message on its way. */
export interface EncodedPeer {
  readonly body: Uint8Array;
  readonly bytes: Uint8Array | undefined;
  /** What it takes in a frame. */
  readonly size: number;
}

/** The body must be plain data without `undefined`. @throws `too-large` it is over `peerFrameBytesMax` */
export function encodePeer(parts: PeerParts, limits: Limits): EncodedPeer {
  const body = encodePlain(parts.body, "msgpack");
  const { bytes } = parts;
  const size = headBytes + body.length + (bytes?.length ?? 0);
  if (size > limits.peerFrameBytesMax) refuseLarge(`to another node is over ${limits.peerFrameBytesMax} bytes`);
  return { body, bytes, size };
}

/** One frame of some messages, of which there is at least one. */
export function joinPeers(messages: readonly EncodedPeer[], size: number): Uint8Array {
  const frame = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { body, bytes } of messages) {
    frame.writeUInt32LE(body.length, at);
    frame.writeUInt32LE(bytes === undefined ? 0 : bytes.length + 1, at + 4);
    at += headBytes;
    frame.set(body, at);
    at += body.length;
    if (bytes === undefined) continue;
    frame.set(bytes, at);
    at += bytes.length;
  }
  return frame;
}

/**
 * The messages of a frame, one by one: those before one that is at fault come out first.
 * @throws `invalid-frame` or `too-large`: the connection should end
 */
export function* readPeers(frame: Uint8Array, guard: GuardLimits): Generator<PeerParts> {
  if (frame.length === 0) refuseFrame("has no message");
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  let at = 0;
  while (at < frame.length) {
    if (frame.length - at < headBytes) refuseFrame("ends within a message");
    const bodyBytes = view.getUint32(at, true);
    const beside = view.getUint32(at + 4, true);
    const bodyAt = at + headBytes;
    const bytesAt = bodyAt + bodyBytes;
    at = bytesAt + Math.max(0, beside - 1);
    if (at > frame.length) refuseFrame("ends within a message");
    const body = decodePlain(frame.subarray(bodyAt, bytesAt), "msgpack", guard);
    // A copy: who keeps a frame of the log must not keep all that came with it.
    yield beside === 0 ? { body } : { body, bytes: Buffer.from(frame.subarray(bytesAt, at)) };
  }
}

/** The highest version that both speak. */
export function commonVersion(one: PeerVersions, other: PeerVersions): number | undefined {
  const version = Math.min(one.max, other.max);
  return version >= Math.max(one.min, other.min) ? version : undefined;
}
