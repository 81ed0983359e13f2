/**
 * The lobby: which tables there are. One entity, key `main`.
 *
 * Invariant: a table is opened by a send of this entity alone, once, so what the lobby lists is open or about to be.
 * Private tables are not listed; their number is bounded, per owner and in all.
 */
import { type Access, defineEntity } from "holdfast";
import { LOBBY_KEY, type LobbyTable, type LobbyView, type TableSettings } from "./contract.ts";
import { createTableInput, openTableInput, tableChangedInput, tableClosedInput } from "./inputs.ts";
import { defaultConfig, tableConfig } from "./rules/config.ts";

export type LobbyState = {
  tables: { [table: string]: LobbyTable };
  /** Private tables by owner. */
  owned: { [owner: string]: number };
  ownedTotal: number;
};

const TABLES_PER_OWNER_MAX = 3;
const PRIVATE_TABLES_MAX = 1_000;
const CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_CHARS = 8;
const BUY_IN_BOOTS_MIN = 20;
const BUY_IN_BOOTS_MAX = 500;

const tableSends = new Set(["tableChanged", "tableClosed"]);

const access: Access = (principal, verb, key) => {
  if (key !== LOBBY_KEY) return false;
  const { kind, name } = verb;
  if (principal.kind === "entity")
    return kind === "command" && principal.id.startsWith("table/") && tableSends.has(name);
  if (principal.kind === "operator") return name === "openTable" || name === "audit";
  if (kind === "view") return principal.kind === "user" && name === "public";
  return principal.kind === "user" && (kind === "command" || kind === "create") && name === "createTable";
};

export const lobby = defineEntity("lobby", {
  state: (): LobbyState => ({ tables: {}, owned: {}, ownedTotal: 0 }),
  events: {
    tableListed: (state, event: LobbyTable) => {
      state.tables[event.table] = { ...event };
    },
    tableChanged: (state, { table, taken }: { table: string; taken: number }) => {
      const listed = state.tables[table];
      if (listed !== undefined) listed.taken = taken;
    },
    tableUnlisted: (state, { table }: { table: string }) => {
      delete state.tables[table];
    },
    privateMade: (state, { owner }: { owner: string; table: string }) => {
      state.owned[owner] = (state.owned[owner] ?? 0) + 1;
      state.ownedTotal += 1;
    },
    privateClosed: (state, { owner }: { owner: string }) => {
      const left = (state.owned[owner] ?? 0) - 1;
      if (left > 0) state.owned[owner] = left;
      else delete state.owned[owner];
      state.ownedTotal -= 1;
    },
  },
  commands: (command) => ({
    /** Opens a public table; one that is listed already stays as it is, so the same call can be made at every start. */
    openTable: command(openTableInput, (state, { table, settings }, ctx) => {
      if (state.tables[table] !== undefined) return () => ({ opened: false });
      const { title, buyInMin, buyInMax, config } = settings;
      const { boot, seats, variation } = config;
      ctx.emit("tableListed", { table, title, boot, seats, taken: 0, variation, buyInMin, buyInMax });
      ctx.send({ type: "table", key: table }, "open", { settings, owner: null });
      return () => ({ opened: true });
    }),
    createTable: command(createTableInput, (state, input, ctx) => {
      const owner = ctx.principal.id;
      const tooMany = (state.owned[owner] ?? 0) >= TABLES_PER_OWNER_MAX || state.ownedTotal >= PRIVATE_TABLES_MAX;
      if (tooMany) return ctx.reject("too-many-tables");
      const settings = privateSettings(input);
      if (settings === null) return ctx.reject("invalid-config");
      const code = Array.from({ length: CODE_CHARS }, () => CODE_LETTERS[ctx.random.integer(CODE_LETTERS.length)]).join(
        "",
      );
      const table = `private-${code}`;
      ctx.emit("privateMade", { owner, table });
      ctx.send({ type: "table", key: table }, "open", { settings, owner });
      return () => ({ table, code });
    }),
    tableChanged: command(tableChangedInput, (_state, input, ctx) => {
      if (ctx.principal.id !== `table/${input.table}`) return ctx.reject("no-such-table");
      ctx.emit("tableChanged", input);
      return undefined;
    }),
    tableClosed: command(tableClosedInput, (state, { table, owner }, ctx) => {
      if (ctx.principal.id !== `table/${table}`) return ctx.reject("no-such-table");
      if (owner !== null) ctx.emit("privateClosed", { owner });
      else if (state.tables[table] !== undefined) ctx.emit("tableUnlisted", { table });
      return undefined;
    }),
  }),
  queries: { audit: (state) => ({ tables: Object.keys(state.tables), privateTables: state.ownedTotal }) },
  views: { public: (state) => viewLobby(state) },
  access,
});

function viewLobby({ tables }: LobbyState): LobbyView {
  const listed = Object.values(tables).sort((a, b) => a.boot - b.boot || (a.table < b.table ? -1 : 1));
  return { tables: listed };
}

/** Settings of a table with this boot, with buy-ins to match. */
export function settingsFor(
  boot: number,
  changes: Partial<Omit<TableSettings, "config">> & { config?: Partial<TableSettings["config"]> } = {},
): TableSettings {
  const { config, ...rest } = changes;
  return {
    title: `Boot ${boot}`,
    buyInMin: BUY_IN_BOOTS_MIN * boot,
    buyInMax: BUY_IN_BOOTS_MAX * boot,
    isPrivate: false,
    ...rest,
    config: { ...defaultConfig(boot), ...config },
  };
}

function privateSettings(input: typeof createTableInput._output): TableSettings | null {
  const { boot, title, seats, variation } = input;
  const wish = { boot, ...(seats === undefined ? {} : { seats }), ...(variation === undefined ? {} : { variation }) };
  const made = tableConfig(wish);
  if ("problems" in made) return null;
  return settingsFor(boot, { title: title ?? "Private table", isPrivate: true, config: made.config });
}
