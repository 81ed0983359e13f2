/** Request ids for raw load: UUIDv7 from a counter and the clock, cheap enough not to be what is measured. */
import { randomBytes } from "node:crypto";

const tail = randomBytes(4).toString("hex");
let counter = 0;

export function uuidV7(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  const count = (counter++ >>> 0).toString(16).padStart(8, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${count.slice(0, 3)}-8${count.slice(3, 6)}-${count.slice(6)}${tail}00`;
}
