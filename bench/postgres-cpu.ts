/** CPU that a PostgreSQL server has used: all its processes, those that have ended included. From Linux's /proc, in ticks of 10 ms. */
import { readdirSync, readFileSync } from "node:fs";

/** Seconds so far; NaN where there is no /proc. @param port that it listens on */
export function postgresCpuSeconds(port: number): number {
  const postmaster = postmasterOf(port);
  if (postmaster === undefined) return Number.NaN;
  let ticks = 0;
  for (const pid of processes()) {
    const fields = statOf(pid);
    if (fields === undefined) continue;
    // Of the server itself those of its ended children too: fields 16 and 17 of proc(5).
    if (pid === postmaster) ticks += Number(fields[13]) + Number(fields[14]);
    if (pid === postmaster || Number(fields[1]) === postmaster) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

function postmasterOf(port: number): number | undefined {
  return processes().find((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return line[0]?.endsWith("postgres") === true && line[line.indexOf("-p") + 1] === String(port);
    } catch {
      return false;
    }
  });
}

function processes(): readonly number[] {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** Fields from the third on: what stands before may hold anything. */
function statOf(pid: number): readonly string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ");
  } catch {
    return undefined;
  }
}
