/**
 * Watches the sends of a server process from outside its code. The parent asks with `{ expect }`; each time so many frames were
 * sent since `began`, it is told how long that took and what the sockets still held.
 */
import { Socket } from "node:net";

export interface Sent {
  /** `process.hrtime` at the beginning, ms: the same clock in every process of this machine. */
  readonly beganMs: number;
  readonly tookMs: number;
  /** CPU of the process meanwhile. */
  readonly cpuMs: number;
  /** Bytes that were sent and that the kernel had not taken. */
  readonly queuedBytes: number;
}

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** What each way to write to a socket goes through, once per frame as long as the socket takes it at once. */
interface Writes {
  _writeGeneric: (this: Socket, ...parameters: unknown[]) => unknown;
}

/** @returns to be called at the beginning of each change */
export function countSends(): () => void {
  const writes = Socket.prototype as unknown as Writes;
  const write = writes._writeGeneric;
  let expected = Number.POSITIVE_INFINITY;
  let count = 0;
  let queuedBytes = 0;
  let beganMs = 0;
  let cpu = process.cpuUsage();
  writes._writeGeneric = function (this: Socket, ...parameters: unknown[]): unknown {
    const result = write.apply(this, parameters);
    queuedBytes += (this as unknown as { _handle: { writeQueueSize: number } | null })._handle?.writeQueueSize ?? 0;
    if (++count === expected) tell();
    return result;
  };
  const tell = (): void => {
    const tookMs = nowMs() - beganMs;
    const { user, system } = process.cpuUsage(cpu);
    process.send?.({ beganMs, tookMs, cpuMs: (user + system) / 1_000, queuedBytes } satisfies Sent);
    count = 0;
    queuedBytes = 0;
  };
  process.on("message", (message: { expect: number }) => {
    expected = message.expect;
    count = 0;
    queuedBytes = 0;
    process.send?.("counting");
  });
  return () => {
    cpu = process.cpuUsage();
    beganMs = nowMs();
  };
}
