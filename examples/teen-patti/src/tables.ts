/**
 * The tables of the house, and how they are opened.
 *
 * Invariant: opening is idempotent; a table that is there keeps its settings and its hand.
 */
import { HoldfastError, type Service } from "holdfast";
import { LOBBY_KEY, type TableSettings } from "./contract.ts";
import { settingsFor } from "./lobby.ts";
import { makeRequestId } from "./system.ts";

export type HouseTable = { table: string; settings: TableSettings };

const OPERATOR = { kind: "operator", id: "house" } as const;

export function publicTables(speed: "human" | "max"): HouseTable[] {
  const config = speed === "max" ? FAST : {};
  const of = (table: string, boot: number, title: string, more: Partial<TableSettings["config"]> = {}): HouseTable => ({
    table,
    settings: settingsFor(boot, { title, config: { ...config, ...more } }),
  });
  return [
    of("boot-10", 10, "Chai corner"),
    of("boot-50", 50, "Marine Drive"),
    of("boot-200", 200, "Maharaja"),
    of("muflis-50", 50, "Muflis", { variation: "muflis" }),
  ];
}

const FAST: Partial<TableSettings["config"]> = { betweenHandsMs: 0, seedRevealMs: 5_000 };

/** For load: no pause between hands, a boot so small that nobody goes broke. */
export function fastTables(count: number): HouseTable[] {
  return Array.from({ length: count }, (_, at) => ({
    table: `fast-${at + 1}`,
    settings: settingsFor(1, { title: `Fast ${at + 1}`, buyInMax: 100_000, config: FAST }),
  }));
}

/** Opens them through the lobby, as the operator of this process. */
export async function openTables(service: Service, tables: readonly HouseTable[]): Promise<void> {
  await Promise.all(tables.map((table) => openTable(service, table)));
}

function openTable(service: Service, input: HouseTable): Promise<void> {
  return new Promise((resolve, reject) => {
    const entity = { type: "lobby", key: LOBBY_KEY };
    service.execute(
      { entity, command: "openTable", input, requestId: makeRequestId(), principal: OPERATOR },
      (result) => {
        if (result.ok) resolve();
        else reject(new HoldfastError(result.code, `Table ${input.table} could not be opened: ${result.detail}`));
      },
    );
  });
}
