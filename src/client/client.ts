/** The client's parts put together. (In the making; the types stand.) */
import { HoldfastError } from "../model/errors.ts";
import type { Client, ConnectOptions, Untyped } from "./types.ts";

export function openClient(_options: ConnectOptions): Client<Untyped> {
  throw new HoldfastError("internal", "not yet");
}
