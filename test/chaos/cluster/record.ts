/**
 * What clients asked and were told, by the monotonic clock of the harness.
 *
 * Invariant: an asking is noted before its first byte leaves, an answer after its last one came; a command that ended without an answer
 * is `unknown` unless the client was told that it was not carried out. All of it is plain data, so that it can be kept in a file.
 */
import { type Client, rejectionOf } from "../../../src/client/index.ts";
import type { Untyped } from "../../../src/client/types.ts";
import { isHoldfastError } from "../../../src/model/errors.ts";

export type Told =
  | { readonly kind: "ok"; readonly value: unknown; readonly version: number }
  /** The entity said no. */
  | { readonly kind: "rejected"; readonly reason: string; readonly version: number | undefined }
  /** Certainly not carried out. */
  | { readonly kind: "not-run"; readonly code: string }
  | { readonly kind: "unknown"; readonly code: string };

export interface Asked {
  readonly who: string;
  readonly type: string;
  readonly key: string;
  readonly name: string;
  readonly input: unknown;
  /** Undefined: a query. */
  readonly requestId: string | undefined;
  readonly sentMs: number;
  told?: Told & { readonly atMs: number };
}

/** A view that a client was shown, in the order of its watch. */
export interface Shown {
  readonly who: string;
  readonly type: string;
  readonly key: string;
  readonly version: number;
}

export class Recorder {
  readonly asked: Asked[] = [];
  readonly shown: Shown[] = [];

  /** Asks, and notes what came of it. Never throws. */
  async ask(client: Client<Untyped>, of: Omit<Asked, "requestId" | "sentMs" | "told">, isQuery = false): Promise<Told> {
    const requestId = isQuery ? undefined : client.requestId();
    const asked: Asked = { ...of, requestId, sentMs: performance.now() };
    this.asked.push(asked);
    const told = await outcomeOf(client, asked);
    asked.told = { ...told, atMs: performance.now() };
    return told;
  }
}

async function outcomeOf(client: Client<Untyped>, { type, key, name, input, requestId }: Asked): Promise<Told> {
  const entity = client.entity(type, key);
  try {
    const { value, version } =
      requestId === undefined ? await entity.query(name, input) : await entity.execute(name, input, { requestId });
    return { kind: "ok", value, version };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    const rejection = rejectionOf(error);
    if (rejection !== undefined) return { kind: "rejected", reason: rejection.reason, version: rejection.version };
    return { kind: error.code === "outcome-unknown" ? "unknown" : "not-run", code: error.code };
  }
}
