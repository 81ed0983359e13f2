/**
 * How two nodes come to know each other: what each side says before anything else, and what it makes of what it hears.
 *
 *   dialer    hello      who I am, whom I expect, versions, nonce
 *   listener  challenge  who I am, versions, nonce
 *   dialer    proof      what I tell of myself; HMAC-SHA256 under the secret, over "dialer", hello and challenge as they were on the wire, and that
 *   listener  welcome    the same over "listener"
 *
 * Invariants: the secret never leaves, and whoever has not proved that he knows it gets nothing made with it, and learns of a listener its
 * name, generation and versions alone. A proof is of these nonces,
 * names, generations, versions and this direction, so that none can be used again. Fields that a newer node adds here are ignored, and
 * are under the proof all the same.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { type NodeRef, sameNode } from "../../model/cluster.ts";
import { HoldfastError } from "../../model/errors.ts";
import type { Limits } from "../../model/limits.ts";
import type { Random } from "../../ports/clock.ts";
import type { Plain } from "../../std/plain.ts";
import { decodePlain, encodePlain } from "../../wire/codec.ts";
import type { PeerVersions } from "../../wire/peer.ts";
import { commonVersion, peerLimits } from "../../wire/peer-codec.ts";

/** What a side brings. */
export interface Party {
  readonly self: NodeRef;
  readonly info: Plain;
  readonly versions: PeerVersions;
  readonly secrets: readonly string[];
  readonly limits: Limits;
  readonly random: Random;
}

/** What came of it. */
export interface Agreed {
  readonly peer: NodeRef;
  readonly info: Plain;
  readonly version: number;
}

export interface Step {
  readonly send?: Uint8Array;
  /** The handshake is over, when that was sent. */
  readonly agreed?: Agreed;
}

/** One side's part. @throws `unavailable` the other is not to be spoken with */
export interface Handshake {
  take(frame: Uint8Array): Step;
}

type Fields = { readonly [name: string]: unknown };

interface Introduction {
  readonly from: NodeRef;
  readonly versions: PeerVersions;
}

type Known = Omit<Agreed, "info">;

const nonceBytes = 32;
const detailCharsMax = 200;

export class Dialing implements Handshake {
  readonly hello: Uint8Array;
  readonly #party: Party;
  readonly #expected: NodeRef;
  #challenge: Uint8Array | undefined;
  #known: Known | undefined;

  constructor(party: Party, expected: NodeRef) {
    this.#party = party;
    this.#expected = expected;
    this.hello = encodePlain({ t: "hello", to: ref(expected), ...introduce(party) }, "msgpack");
  }

  take(frame: Uint8Array): Step {
    const said = read(frame, this.#party);
    if (said["t"] === "refused") refuse(`The node refuses: ${textOf(said["detail"])}`);
    return this.#challenge === undefined ? this.#challenged(frame, said) : this.#welcomed(said, this.#challenge);
  }

  #challenged(frame: Uint8Array, said: Fields): Step {
    const { from, versions } = introductionOf(said, "challenge");
    if (!sameNode(from, this.#expected)) refuse("Another node answers, or another running of it.");
    this.#known = { peer: from, version: agree(this.#party, versions) };
    this.#challenge = Buffer.from(frame);
    const [secret] = this.#party.secrets;
    return { send: vouch(this.#party, "proof", secret, transcript("dialer", this.hello, frame)) };
  }

  #welcomed(said: Fields, challenge: Uint8Array): Step {
    if (said["t"] !== "welcome") refuse("The node does not speak the handshake.");
    const [secret] = this.#party.secrets;
    if (secret !== undefined && !isProof(said, secret, transcript("listener", this.hello, challenge)))
      refuse("The node does not know the secret.");
    return { agreed: { ...(this.#known as Known), info: infoOf(said, this.#party) } };
  }
}

export class Listening implements Handshake {
  readonly #party: Party;
  readonly #isFull: () => boolean;
  #hello: Uint8Array | undefined;
  #challenge: Uint8Array = new Uint8Array(0);
  #known: Known | undefined;

  /** @param isFull asked once the other is known: there is no room for it */
  constructor(party: Party, isFull: () => boolean) {
    this.#party = party;
    this.#isFull = isFull;
  }

  take(frame: Uint8Array): Step {
    const said = read(frame, this.#party);
    return this.#hello === undefined ? this.#greeted(frame, said) : this.#proved(said, this.#hello);
  }

  #greeted(frame: Uint8Array, said: Fields): Step {
    const { from, versions } = introductionOf(said, "hello");
    if (!sameNode(refOf(said["to"]), this.#party.self)) refuse("This is another node, or another running of it.");
    this.#known = { peer: from, version: agree(this.#party, versions) };
    this.#hello = Buffer.from(frame);
    this.#challenge = encodePlain({ t: "challenge", ...introduce(this.#party) }, "msgpack");
    return { send: this.#challenge };
  }

  #proved(said: Fields, hello: Uint8Array): Step {
    if (said["t"] !== "proof") refuse("That is not the handshake.");
    const { secrets } = this.#party;
    const heard = transcript("dialer", hello, this.#challenge);
    const secret = secrets.find((one) => isProof(said, one, heard));
    if (secret === undefined && secrets.length > 0) refuse("The secrets are not the same.");
    if (this.#isFull()) refuse("This node has as many connections as it may.");
    const agreed = { ...(this.#known as Known), info: infoOf(said, this.#party) };
    return { send: vouch(this.#party, "welcome", secret, transcript("listener", hello, this.#challenge)), agreed };
  }
}

/** What a listener says before it closes. */
export function refusalFrame(detail: string): Uint8Array {
  return encodePlain({ t: "refused", detail }, "msgpack");
}

export function refuse(detail: string): never {
  throw new HoldfastError("unavailable", detail);
}

function introduce({ self, versions, random }: Party): Record<string, unknown> {
  const nonce = Buffer.from(random.bytes(nonceBytes)).toString("base64");
  const { min, max } = versions;
  return { from: ref(self), versions: { min, max }, nonce };
}

function ref({ node, generation }: NodeRef): NodeRef {
  return { node, generation };
}

function read(frame: Uint8Array, { limits }: Party): Fields {
  let said: unknown;
  try {
    said = decodePlain(frame, "msgpack", { ...peerLimits(limits), bytesMax: limits.peerHandshakeBytesMax });
  } catch (error) {
    throw new HoldfastError("unavailable", "The other side does not speak the handshake.", { cause: error });
  }
  return isFields(said) ? said : refuse("The other side does not speak the handshake.");
}

function introductionOf(said: Fields, kind: "hello" | "challenge"): Introduction {
  const from = refOf(said["from"]);
  const { versions, nonce } = said;
  if (said["t"] !== kind || from === undefined || !isVersions(versions))
    return refuse("The other side does not speak the handshake.");
  if (typeof nonce !== "string" || Buffer.from(nonce, "base64").length < nonceBytes)
    return refuse("The other side does not speak the handshake.");
  return { from, versions };
}

function agree(party: Party, versions: PeerVersions): number {
  const { min, max } = party.versions;
  return (
    commonVersion(party.versions, versions) ??
    refuse(`No common version: ${min} to ${max} here, ${versions.min} to ${versions.max} there.`)
  );
}

/** All that was said before a proof, and by which side it is. */
function transcript(side: "dialer" | "listener", hello: Uint8Array, challenge: Uint8Array): Uint8Array {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(hello.length, 0);
  lengths.writeUInt32LE(challenge.length, 4);
  return Buffer.concat([Buffer.from(`holdfast.peer.v1 ${side}\0`), lengths, hello, challenge]);
}

/** What a side tells of itself, under its proof; as text, so that both sides hash the same. */
function vouch(party: Party, kind: "proof" | "welcome", secret: string | undefined, heard: Uint8Array): Uint8Array {
  const info = encodePlain(party.info, "json");
  const mac = secret === undefined ? "" : prove(secret, heard, info);
  return encodePlain({ t: kind, info, mac }, "msgpack");
}

function prove(secret: string, heard: Uint8Array, info: string): string {
  return createHmac("sha256", secret).update(heard).update(info).digest("base64");
}

/** Takes as long whatever is given, so that nobody learns how much of it is right. */
function isProof({ mac, info }: Fields, secret: string, heard: Uint8Array): boolean {
  if (typeof mac !== "string" || typeof info !== "string") return false;
  const [one, other] = [Buffer.from(mac), Buffer.from(prove(secret, heard, info))];
  return one.length === other.length && timingSafeEqual(one, other);
}

function infoOf({ info }: Fields, { limits }: Party): Plain {
  if (typeof info !== "string") return refuse("The other side does not speak the handshake.");
  try {
    return decodePlain(info, "json", { ...peerLimits(limits), bytesMax: limits.peerHandshakeBytesMax });
  } catch (error) {
    throw new HoldfastError("unavailable", "The other side does not speak the handshake.", { cause: error });
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refOf(value: unknown): NodeRef | undefined {
  if (!isFields(value)) return undefined;
  const { node, generation } = value;
  if (typeof node !== "string" || node === "" || !isCount(generation)) return undefined;
  return { node, generation };
}

function isVersions(value: unknown): value is PeerVersions {
  return isFields(value) && isCount(value["min"]) && isCount(value["max"]) && value["min"] <= value["max"];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Of somebody who has proved nothing. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value.replace(/[^\x20-\x7e]/g, "?").slice(0, detailCharsMax) : "";
}
