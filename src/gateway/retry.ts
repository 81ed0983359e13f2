/** How long callers should wait before they ask again, by the error they got. One place for both doors. */
import type { ErrorCode } from "../model/errors.ts";

/** Milliseconds; 0 says nothing. */
export function retryAfterMs(code: ErrorCode): number {
  switch (code) {
    case "overloaded":
      return 250;
    case "unavailable":
      return 500;
    case "fenced":
      return 100;
    case "disk-full":
      return 5_000;
    default:
      return 0;
  }
}
