/** How large plain data is, roughly, for choices between two forms of it. Never encodes anything. */
import type { Plain } from "./plain.ts";

/** About the bytes of the msgpack form; stops counting at `enough`. */
export function roughBytes(value: Plain, enough: number): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value === "number") return 5;
  if (typeof value !== "object" || value === null) return 1;
  let bytes = 2;
  if (Array.isArray(value)) {
    for (const item of value as readonly Plain[]) {
      if (bytes >= enough) break;
      bytes += roughBytes(item, enough - bytes);
    }
    return bytes;
  }
  const fields = value as { readonly [key: string]: Plain };
  for (const key in fields) {
    if (bytes >= enough) break;
    bytes += key.length + 1 + roughBytes(fields[key] as Plain, enough - bytes);
  }
  return bytes;
}
