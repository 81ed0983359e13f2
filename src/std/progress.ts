/**
 * How far a long piece of work is, as figures and as one line of text.
 *
 * Invariant: an estimate is given only from what was done already; with nothing done there is none.
 */

/** Milliseconds still to go if it goes on as it went; undefined if that cannot be told. */
export function etaMs(done: number, total: number, elapsedMs: number): number | undefined {
  if (done <= 0 || total <= 0) return undefined;
  return Math.round((Math.max(0, total - done) / done) * elapsedMs);
}

const barCells = 24;

/** `Replaying ████████░░░░ 43 %  430,000 of 1,000,000 records  3 s left` */
export function progressLine(
  what: string,
  done: number,
  total: number,
  leftMs: number | undefined,
  unit = "records",
): string {
  const share = total <= 0 ? 1 : Math.min(1, done / total);
  const filled = Math.floor(share * barCells);
  const bar = "█".repeat(filled) + "░".repeat(barCells - filled);
  const left = leftMs === undefined ? "" : `  ${duration(leftMs)} left`;
  return `${what} ${bar} ${Math.floor(share * 100)} %  ${grouped(done)} of ${grouped(total)} ${unit}${left}`;
}

/** `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min` */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `1,234,567`, whatever the machine's language is. */
export function grouped(count: number): string {
  return String(Math.floor(count)).replace(/\B(?=(\d{3})+$)/g, ",");
}
