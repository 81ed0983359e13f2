/** Whether what was sampled stays where it is. */

export interface Sample {
  readonly hour: number;
  readonly rss: number;
  /** Resident memory that is no page of a file. */
  readonly own: number;
  readonly heap: number;
  readonly external: number;
  readonly log: number;
  readonly state: number;
  readonly snapshots: number;
  readonly archive: number;
  readonly hot: number;
  readonly stored: number;
}

export type Measured = "rss" | "own" | "heap" | "external" | "log" | "state" | "snapshots" | "archive";

/** Least squares over the second half, in bytes an hour. */
export function slopePerHour(samples: readonly Sample[], name: Measured): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const hours = mean(half.map(({ hour }) => hour));
  const value = mean(half.map((sample) => sample[name]));
  const across = half.reduce((sum, sample) => sum + (sample.hour - hours) * (sample[name] - value), 0);
  const along = half.reduce((sum, { hour }) => sum + (hour - hours) ** 2, 0);
  return along === 0 ? 0 : across / along;
}

/**
 * What may be added in an hour of the second half, as a share of the mean there: by chance of the collector and of page use.
 * The state store's file never shrinks: its size is the most that it ever needed, which comes near its bound ever more slowly.
 */
const tolerance: Readonly<Record<Measured, number>> = {
  rss: 0.01,
  own: 0.01,
  heap: 0.01,
  external: 0.02,
  log: 0.02,
  state: 0.02,
  snapshots: 0.02,
  // Deleted once an hour, object by object.
  archive: 0.05,
};

/** What grows more than the tolerance says. */
export function judge(samples: readonly Sample[]): string[] {
  const half = samples.slice(Math.floor(samples.length / 2));
  return (Object.keys(tolerance) as Measured[]).flatMap((name) => {
    const mean = half.reduce((sum, sample) => sum + sample[name], 0) / half.length;
    const share = slopePerHour(samples, name) / mean;
    if (share <= tolerance[name]) return [];
    return [`${name} grows by ${(share * 100).toFixed(2)} % an hour, more than ${tolerance[name] * 100} %`];
  });
}
