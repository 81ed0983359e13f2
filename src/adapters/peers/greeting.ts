/**
 * The handshake on a WebSocket, from its opening to the agreement or the end of it.
 *
 * Invariant: until the other side has proved who it is, it costs no more than `peerHandshakeBytesMax` and `peerHandshakeMs`.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Limits } from "../../model/limits.ts";
import type { Clock } from "../../ports/clock.ts";
import { type Agreed, type Handshake, refusalFrame, type Step } from "./handshake.ts";

export interface GreetingParts {
  readonly socket: WebSocket;
  readonly raw: Duplex;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly handshake: Handshake;
  /** The last message of this side was handed to the socket before. */
  readonly agreed: (agreed: Agreed) => void;
  /** The socket is about to be closed. @param error `unavailable` */
  readonly failed: (error: HoldfastError) => void;
  /** Who is refused is told why. */
  readonly tells: boolean;
}

/** RFC 6455: the peer broke a rule that is not the protocol's. */
const refusedClose = 1008;

/** Takes the messages until it is over. */
export function greet(parts: GreetingParts): void {
  const { socket, raw, clock, limits, handshake } = parts;
  let bytesLeft = limits.peerHandshakeBytesMax;
  const stop = (): void => {
    cancel();
    socket.off("message", take);
    socket.off("close", lost);
    raw.off("data", count);
  };
  const fail = (error: unknown): void => {
    stop();
    const known = isHoldfastError(error) ? error : new HoldfastError("unavailable", "The handshake failed.");
    if (parts.tells && socket.readyState === socket.OPEN) socket.send(refusalFrame(known.message));
    parts.failed(known);
    socket.close(refusedClose);
    // Whoever does not read that, or does not close, is not waited for.
    socket.once(
      "close",
      clock.after(limits.peerSilentMs, () => socket.terminate()),
    );
  };
  const take = (data: unknown): void => {
    let step: Step;
    try {
      step = handshake.take(data as Buffer);
    } catch (error) {
      return fail(error);
    }
    if (step.send !== undefined) socket.send(step.send);
    if (step.agreed === undefined) return;
    stop();
    parts.agreed(step.agreed);
  };
  const count = (chunk: Buffer): void => {
    bytesLeft -= chunk.length;
    if (bytesLeft >= 0) return;
    fail(new HoldfastError("unavailable", "The other side said more than a handshake has."));
    socket.terminate();
  };
  const lost = (): void => fail(new HoldfastError("unavailable", "The connection was lost in the handshake."));
  const cancel = clock.after(limits.peerHandshakeMs, () => {
    fail(new HoldfastError("unavailable", "The handshake was not over in time."));
    socket.terminate();
  });
  socket.on("message", take);
  socket.on("close", lost);
  raw.on("data", count);
}
