/**
 * One message of a view on its way to everybody who follows it: encoded once per encoding, however many they are.
 *
 * Invariant: what is encoded is never written again, so connections may hold it as long as they have not sent it.
 */
import type { Absolute, Delta } from "../core/changefeed/delta-line.ts";
import { type Encoding, type FrameData, joinFrame } from "../wire/codec.ts";
import { encodeViewHead, encodeViewTail, type ViewBody } from "../wire/view-parts.ts";

const utf8 = new TextEncoder();

export class ViewMessage {
  readonly body: ViewBody;
  #msgpack: Uint8Array | undefined;
  #json: string | undefined;
  /** The frame that was made last: most connections have few subscriptions, so most ids are the same small numbers. */
  #frame: { readonly id: number; readonly encoding: Encoding; readonly bytes: Uint8Array } | undefined;

  constructor(body: ViewBody) {
    this.body = body;
  }

  /** The parts of the message for one subscription; in JSON there is one, since parts are messages there. */
  parts(id: number, encoding: Encoding): readonly [head: FrameData, tail?: FrameData] {
    const { t } = this.body;
    if (encoding === "json") return [encodeViewHead(t, id, "json") + this.#jsonTail()];
    this.#msgpack ??= encodeViewTail(this.body, "msgpack");
    return [encodeViewHead(t, id, "msgpack"), this.#msgpack];
  }

  /** A WebSocket frame, header included, that holds this message alone. */
  frame(id: number, encoding: Encoding): Uint8Array {
    const known = this.#frame;
    if (known !== undefined && known.id === id && known.encoding === encoding) return known.bytes;
    const bytes = asFrame(joinFrame(this.parts(id, encoding) as readonly FrameData[], encoding, 1));
    this.#frame = { id, encoding, bytes };
    return bytes;
  }

  /** Its fields but for the kind, as JSON. */
  get text(): string {
    return `{${this.#jsonTail()}`;
  }

  #jsonTail(): string {
    this.#json ??= encodeViewTail(this.body, "json");
    return this.#json;
  }
}

const finalText = 0x81;
const finalBinary = 0x82;

/** One unfragmented frame of a server (RFC 6455, 5.2): not masked, not compressed. */
function asFrame(data: FrameData): Uint8Array {
  const payload = typeof data === "string" ? utf8.encode(data) : data;
  const size = payload.length;
  const header = size < 126 ? 2 : size < 0x1_0000 ? 4 : 10;
  const frame = new Uint8Array(header + size);
  frame[0] = typeof data === "string" ? finalText : finalBinary;
  frame[1] = header === 2 ? size : header === 4 ? 126 : 127;
  const view = new DataView(frame.buffer);
  if (header === 4) view.setUint16(2, size);
  else if (header === 10) view.setBigUint64(2, BigInt(size));
  frame.set(payload, header);
  return frame;
}

/** Finds the message of what is the same for several viewers: the same value, or the same patch, at the same version. */
export class ViewMessages {
  readonly #known = new WeakMap<object, ViewMessage>();

  absolute({ version, value }: Absolute): ViewMessage {
    const found = typeof value === "object" && value !== null ? this.#known.get(value) : undefined;
    if (found?.body.t === "absolute" && found.body.version === version) return found;
    const message = new ViewMessage({ t: "absolute", version, value });
    if (typeof value === "object" && value !== null) this.#known.set(value, message);
    return message;
  }

  delta({ from, version, patch }: Delta): ViewMessage {
    const found = this.#known.get(patch);
    if (found?.body.t === "delta" && found.body.version === version && found.body.from === from) return found;
    const message = new ViewMessage({ t: "delta", from, version, patch });
    this.#known.set(patch, message);
    return message;
  }
}
