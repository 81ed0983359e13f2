/**
 * What the page and the server agree on: every view, command input and reply of the three entities, and the fixed lists.
 *
 * Invariant: plain data only, safe to import from a browser. The entities (`player.ts`, `table.ts`, `lobby.ts`) return
 * exactly these types, checked by the compiler; the page may use `connect<Entities>` with `Entities` of `entities.ts`.
 *
 * | entity   | key             | command       | input            | reply           | who                        |
 * |----------|-----------------|---------------|------------------|-----------------|----------------------------|
 * | `player` | the user's id   | `join`        | JoinInput        | JoinReply       | that user; first of all    |
 * |          |                 | `setProfile`  | ProfileInput     | null            | that user                  |
 * |          |                 | `setSeed`     | SeedInput        | null            | that user; until the deal  |
 * |          |                 | `topUp`       | none             | BalanceReply    | that user, when broke      |
 * |          |                 | `sit`         | SitInput         | SitReply        | that user                  |
 * |          |                 | `addChips`    | AddChipsInput    | BalanceReply    | that user, seated          |
 * |          |                 | `tip`         | TipInput         | BalanceReply    | that user, seated          |
 * |          |                 | `gift`        | GiftInput        | BalanceReply    | that user, seated          |
 * | `table`  | the table's id  | `act`         | ActInput         | ActReply        | users seated there         |
 * |          |                 | `leave`       | none             | LeaveReply      | users seated there         |
 * |          |                 | `sitOut`      | SitOutInput      | null            | users seated there         |
 * |          |                 | `back`        | none             | null            | users seated there         |
 * |          |                 | `say`         | SayInput         | null            | users seated there         |
 * | `lobby`  | `main`          | `createTable` | CreateTableInput | CreateTableReply| any user; a private table  |
 *
 * Views: `player.me` MeView (that user), `player.public` PlayerView (any user), `table.seat` TableView (as this viewer may
 * see it; spectators too), `table.public` WatchedTable (anybody), `lobby.public` LobbyView. Query `table.review` ReviewInput -> ReviewReply.
 * Times are the server's clock, ms since 1970: compare them with `client.now()`.
 */
import type { Sealed } from "holdfast";
import type { TableConfig } from "./rules/config.ts";
import type { Move, MoveRejection } from "./rules/moves.ts";
import type { PublicView } from "./rules/projection.ts";
import type { VariationName } from "./rules/variations.ts";
import type { Evidence } from "./rules/verify.ts";

export const LOBBY_KEY = "main";

/** Chips a new player gets, and what a broke one is topped up to. */
export const STARTING_CHIPS = 100_000;
export const TOP_UP_TO = 20_000;
/** `topUp` is for those who sit nowhere and have fewer chips than this. */
export const TOP_UP_BELOW = 5_000;
export const TOP_UP_WAIT_MS = 60_000;
/** Tables one player may sit at, at once. */
export const SEATS_PER_PLAYER_MAX = 4;
export const NAME_CHARS_MAX = 20;

export const AVATARS = ["tiger", "peacock", "elephant", "lotus", "mango", "kite", "drum", "lamp"] as const;
export type Avatar = (typeof AVATARS)[number];

/** Chat is a fixed list: nothing to moderate. */
export const PHRASES = {
  hello: "Hello everyone!",
  "good-luck": "Good luck!",
  "well-played": "Well played!",
  "nice-hand": "Nice hand!",
  hurry: "Hurry up, please",
  bluff: "You are bluffing!",
  "blind-king": "I play blind",
  "side-show": "Side show?",
  "so-close": "So close!",
  "thank-you": "Thank you!",
  sorry: "Sorry!",
  bye: "Bye, see you!",
} as const;
export type Phrase = keyof typeof PHRASES;

export const EMOTES = ["👍", "👏", "😂", "😎", "😮", "😢", "😡", "🤔", "🔥", "🎉", "🙏", "❤️"] as const;
export type Emote = (typeof EMOTES)[number];

/** Things a player gives another, and what they cost. The price goes to the house, as tips do. */
export const GIFTS = { rose: 20, chai: 10, laddu: 30, garland: 100, crown: 500 } as const;
export type Gift = keyof typeof GIFTS;
export const TIP_MAX = 10_000;

// ---- commands: inputs and replies

/** Makes the player's account with `STARTING_CHIPS`; on one that is there it changes nothing but what is given. */
export type JoinInput = { name?: string | undefined; avatar?: Avatar | undefined };
export type JoinReply = { created: boolean; balance: number };
export type ProfileInput = { name: string; avatar: Avatar };
/** 1 to 64 of A-Z a-z 0-9 _ -; goes to every table the player sits at, for the next deal. */
export type SeedInput = { clientSeed: string };
export type BalanceReply = { balance: number };

/**
 * The buy-in is taken from the wallet at once. The answer of the table comes with `MeView.seats` (status `seated`) or,
 * with the chips back in the wallet, in `MeView.refusal`.
 */
export type SitInput = { table: string; seat?: number | undefined; buyIn: number };
export type SitReply = { sit: number; balance: number };
/** More chips for a seat; they arrive before the next hand. */
export type AddChipsInput = { table: string; amount: number };
export type TipInput = { table: string; amount: number };
export type GiftInput = { table: string; gift: Gift; toSeat: number };

/** `handNumber` and `turn` are those of the view the player looked at: a late click never acts on another turn. */
export type ActInput = { handNumber: number; turn: number; move: Move };
/** The table's turn after the move. Everything else comes with the view. */
export type ActReply = { handNumber: number; turn: number };
/** False: in a hand; the seat packed and is left, chips cashed out, when the hand is over. */
export type LeaveReply = { left: boolean };
export type SitOutInput = { out: boolean };
export type SayInput = { phrase: Phrase } | { emote: Emote; toSeat?: number | undefined };

/** Everything but boot has a default. */
export type CreateTableInput = {
  boot: number;
  title?: string | undefined;
  seats?: number | undefined;
  variation?: VariationName | undefined;
};
/** The table opens within moments: watch `table.seat` until `open` is true, then sit. */
export type CreateTableReply = { table: string; code: string };

/** Reasons of `rejected`. For sitting they come in `MeView.refusal`. */
export type Refusal =
  | MoveRejection
  | "not-joined"
  | "insufficient-chips"
  | "not-broke"
  | "too-soon"
  | "too-many-seats"
  | "already-seated"
  | "not-seated"
  | "no-such-table"
  | "table-closed"
  | "table-full"
  | "seat-taken"
  | "no-such-seat"
  | "buy-in-out-of-range"
  | "late"
  | "too-many-messages"
  | "too-many-tables"
  | "invalid-config";

// ---- table

export type TableSettings = {
  title: string;
  config: TableConfig;
  buyInMin: number;
  buyInMax: number;
  /** Not in the lobby, and only those seated see the game. Whoever knows the id (the code) may sit. */
  isPrivate: boolean;
};

/** A player's name is personal data: null when the player was erased. */
export type ShownName = string | null;
/** As entities keep it: sealed; plain where it was recorded before names were, and empty before there is one. */
export type KeptName = Sealed<string> | string;
/** Shown in the place of a name that was erased. */
export const ERASED_NAME = "Erased player";

/**
 * waiting: sat down during a hand, is dealt in next. ready: between hands. playing, packed: in the hand. sitting-out: asked
 * for it. away: missed turns; stands up at `heldUntilMs`. broke: cannot pay the boot; stands up at `heldUntilMs`.
 * leaving: stands up when the hand is over.
 */
export type SeatStatus = "waiting" | "ready" | "playing" | "packed" | "sitting-out" | "away" | "broke" | "leaving";

export type TableSeat<Name = ShownName> = {
  seat: number;
  player: string;
  name: Name;
  avatar: Avatar;
  chips: number;
  /** Bought, and added before the next hand. */
  chipsComing: number;
  status: SeatStatus;
  /** Turns missed one after the other: the seat was packed for its player. */
  timeouts: number;
  heldUntilMs: number | null;
  /** The newest gift, shown beside the seat. */
  gift: Gift | null;
};

/** The turn ring runs from `fromMs` to `atMs`; the move is still taken for `graceMs` after that. */
export type Deadline = {
  kind: "turn" | "sideShow";
  seat: number;
  handNumber: number;
  turn: number;
  fromMs: number;
  atMs: number;
  graceMs: number;
};

/** What happened beside the cards, newest last. `id` only grows. */
export type FeedItem<Name = ShownName> = { id: number; atMs: number; seat: number; name: Name } & (
  | { kind: "phrase"; phrase: Phrase }
  | { kind: "emote"; emote: Emote; toSeat: number | null }
  | { kind: "tip"; amount: number }
  | { kind: "gift"; gift: Gift; toSeat: number; amount: number }
  | { kind: "sat"; chips: number }
  | { kind: "left"; reason: LeftReason }
  | { kind: "autoPack"; handNumber: number }
);
export type LeftReason = "chosen" | "away" | "broke" | "closed";

/** One finished hand in a line; `review` gives the rest. Newest first. */
export type HandSummary<Name = ShownName> = {
  handNumber: number;
  endedAtMs: number;
  pot: number;
  reason: "last" | "show" | "potLimit";
  winners: { seat: number; name: Name; amount: number }[];
};

export type TableView<Name = ShownName> = {
  table: string;
  /** False: there is no such table (yet), or it was closed. */
  open: boolean;
  /** The table is private and the viewer is not seated: seats and hand look empty. Sitting down is still possible. */
  hidden: boolean;
  /** Null when there is no such table. Shown of private tables too, for the buy-in dialog. */
  settings: TableSettings | null;
  /** The viewer's seat. */
  you: number | null;
  yourSeed: string | null;
  /** Index = seat number; length = `settings.config.seats`. */
  seats: (TableSeat<Name> | null)[];
  /** The running hand, or the last one until the next is dealt (phase "over"); bubbles are `hand.seats[].last`. */
  hand: PublicView;
  /** What the viewer may do now, amounts computed. */
  moves: Move[];
  deadline: Deadline | null;
  /** When the next hand is dealt; null while one runs or when players are missing. */
  nextHandAtMs: number | null;
  /** Published before the client seeds are fixed: what `review` is checked against. Remember it. */
  nextCommit: { handNumber: number; commit: string } | null;
  feed: FeedItem<Name>[];
  recentHands: HandSummary<Name>[];
  /** Tips and gifts so far. */
  house: number;
};

/** What a spectator sees. */
export type WatchedTable<Name = ShownName> = Omit<TableView<Name>, "table" | "you" | "yourSeed" | "moves">;

// ---- leaderboard

/** One player's line; the key of the document is the player's id. */
export type Standing<Name = ShownName> = {
  name: Name;
  avatar: Avatar;
  /** Chips taken out of pots, less those put in. */
  chips: number;
  hands: number;
  handsWon: number;
  biggestPot: number;
  /** When the last hand ended. */
  atMs: number;
};
export type StandingsOrder = "chips" | "handsWon" | "biggestPot";
/** What `GET /v1/projections/leaderboard` gives, as one answer or as events. */
export type Standings = { documents: { key: string; value: Standing }[]; more: boolean };

export type ReviewInput = { handNumber: number };
/** Null: not among the recent hands. */
export type ReviewReply<Name = ShownName> = {
  handNumber: number;
  endedAtMs: number;
  hand: PublicView;
  players: { seat: number; player: string; name: Name; avatar: Avatar }[];
  /** For `verifyHand`. Put in the commit and the seed you remember in place of the server's words. */
  evidence: Evidence;
  /** When the server seed is (or was) published: from then on `evidence.serverSeed` is there. */
  seedAtMs: number;
} | null;

// ---- player

export type PlayerSeat = {
  table: string;
  /** Null until the table answered. */
  seat: number | null;
  status: "asking" | "seated";
  /** Chips brought to this table so far. */
  boughtIn: number;
};

/** A finished stay at a table. */
export type PlayerSession = {
  table: string;
  boughtIn: number;
  cashedOut: number;
  hands: number;
  endedAtMs: number;
  reason: LeftReason;
};

export type MeView<Name = ShownName> = {
  player: string;
  /** False: `join` first. */
  joined: boolean;
  name: Name;
  avatar: Avatar;
  clientSeed: string;
  balance: number;
  seats: PlayerSeat[];
  /** The newest refusal of a table; its chips are back. `id` only grows. */
  refusal: { id: number; table: string; reason: string; amount: number } | null;
  /** `topUp` is refused before this time. */
  topUpFromMs: number;
  /** Newest first. */
  sessions: PlayerSession[];
};

export type PlayerView<Name = ShownName> = {
  player: string;
  joined: boolean;
  name: Name;
  avatar: Avatar;
  hands: number;
};

// ---- lobby

export type LobbyTable = {
  table: string;
  title: string;
  boot: number;
  seats: number;
  taken: number;
  variation: VariationName;
  buyInMin: number;
  buyInMax: number;
};

/** Public tables, by boot, then by id. */
export type LobbyView = { tables: LobbyTable[] };

/** The id of the private table with this code, or null when it can be none. */
export function tableOfCode(code: string): string | null {
  const plain = code.trim().toUpperCase();
  return /^[A-HJ-NP-Z2-9]{8}$/.test(plain) ? `private-${plain}` : null;
}

/** The code of a private table's id, or null for a public one. */
export function codeOfTable(table: string): string | null {
  return /^private-([A-HJ-NP-Z2-9]{8})$/.exec(table)?.[1] ?? null;
}

/** A view of an entity that is not there, shows this. */
export const NO_AVATAR: Avatar = "tiger";
