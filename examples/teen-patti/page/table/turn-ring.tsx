/**
 * The ring around the avatar that shows how much of the turn is left, then the grace, in red.
 *
 * Invariant: it runs from the server's deadline alone, in the server's time, as two browser animations: no message and no
 * redraw per second.
 */
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Deadline } from "../../src/contract.ts";
import { serverNow } from "../state/app.ts";

export function TurnRing({ deadline }: { deadline: Deadline }): JSX.Element {
  const time = useRef<SVGCircleElement>(null);
  const grace = useRef<SVGCircleElement>(null);
  const { fromMs, atMs, graceMs } = deadline;
  useLayoutEffect(() => {
    const elapsedMs = Math.max(0, serverNow() - fromMs);
    const turnMs = Math.max(1, atMs - fromMs);
    const running = [
      time.current?.animate(
        [
          { strokeDashoffset: 0, stroke: "#7fe3a8" },
          { strokeDashoffset: 50, stroke: "#f3cf6b", offset: 0.5 },
          { strokeDashoffset: 80, stroke: "#ff8a5c", offset: 0.8 },
          { strokeDashoffset: 100, stroke: "#ff5a5f" },
        ],
        { duration: turnMs, fill: "both" },
      ),
      grace.current?.animate(
        [
          { strokeDashoffset: 0, opacity: 1 },
          { strokeDashoffset: 100, opacity: 1 },
        ],
        { duration: Math.max(1, graceMs), delay: turnMs, fill: "forwards" },
      ),
    ];
    for (const animation of running) if (animation) animation.currentTime = elapsedMs;
    return () => running.forEach((animation) => animation?.cancel());
  }, [fromMs, atMs, graceMs]);
  return (
    <svg class="turn-ring" viewBox="0 0 100 100" aria-hidden="true" data-testid="turn-ring">
      <circle class="ring-track" cx="50" cy="50" r="46" />
      <circle ref={grace} class="ring-grace" cx="50" cy="50" r="46" pathLength={100} />
      <circle ref={time} class="ring-time" cx="50" cy="50" r="46" pathLength={100} />
    </svg>
  );
}

/** A bar that fills until the next hand is dealt. */
export function CountdownBar({ atMs, label }: { atMs: number; label: string }): JSX.Element {
  const bar = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => {
    const leftMs = Math.max(1, atMs - serverNow());
    const filling = bar.current?.animate([{ scale: "0 1" }, { scale: "1 1" }], { duration: leftMs, fill: "both" });
    return () => filling?.cancel();
  }, [atMs]);
  return (
    <span class="countdown">
      <span class="countdown-label">{label}</span>
      <span class="countdown-track">
        <span ref={bar} class="countdown-bar" />
      </span>
    </span>
  );
}
