/**
 * The schemas of every command input. Invariant: what they accept has the types of `contract.ts`, and every number is a
 * safe integer within the bounds of the game, so no decide has to ask again.
 */
import { isSealed, personal, type Sealed } from "holdfast";
import { z } from "zod";
import { AVATARS, EMOTES, GIFTS, NAME_CHARS_MAX, PHRASES, TIP_MAX } from "./contract.ts";
import { BOOT_MAX, SEATS_MAX, SEATS_MIN } from "./rules/config.ts";
import { VARIATION_NAMES } from "./rules/variations.ts";

const chips = z.int().min(1).max(1_000_000_000_000);
const seat = z
  .int()
  .min(0)
  .max(SEATS_MAX - 1);
const clientSeed = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
/** Letters of any script, digits and a few signs: no markup, no invisible characters. */
const nameText = z
  .string()
  .min(1)
  .max(NAME_CHARS_MAX)
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}\p{M} ._'-]*$/u);
const name = nameText.transform(personal);
/** As a player's wallet sends it to a table: sealed already. */
const keptName = z.union([z.custom<Sealed<string>>(isSealed), nameText]);
const avatar = z.enum(AVATARS);
/** Also keeps a sit from bringing a key into being that can be no table. */
const tableId = z.string().regex(/^(?:[a-z0-9-]{1,40}|private-[A-HJ-NP-Z2-9]{8})$/);
const phrase = z.enum(Object.keys(PHRASES) as [keyof typeof PHRASES]);
const gift = z.enum(Object.keys(GIFTS) as [keyof typeof GIFTS]);
const handNumber = z.int().min(0);
const turn = z.int().min(0);

export const move = z.discriminatedUnion("type", [
  z.object({ type: z.literal("see") }),
  z.object({ type: z.literal("pack") }),
  z.object({ type: z.literal("blind"), amount: chips }),
  z.object({ type: z.literal("chaal"), amount: chips }),
  z.object({ type: z.literal("show"), amount: chips }),
  z.object({ type: z.literal("sideShow"), amount: chips, target: seat }),
  z.object({ type: z.literal("acceptSideShow") }),
  z.object({ type: z.literal("refuseSideShow") }),
]);

// ---- from users

export const joinInput = z.object({ name: name.optional(), avatar: avatar.optional() });
export const profileInput = z.object({ name, avatar });
export const seedInput = z.object({ clientSeed });
export const sitInput = z.object({ table: tableId, seat: seat.optional(), buyIn: chips });
export const addChipsInput = z.object({ table: tableId, amount: chips });
export const tipInput = z.object({ table: tableId, amount: z.int().min(1).max(TIP_MAX) });
export const giftInput = z.object({ table: tableId, gift, toSeat: seat });
export const actInput = z.object({ handNumber, turn, move });
export const sitOutInput = z.object({ out: z.boolean() });
export const sayInput = z.union([z.object({ phrase }), z.object({ emote: z.enum(EMOTES), toSeat: seat.optional() })]);
const title = z.string().regex(/^[\p{L}\p{N}][\p{L}\p{N}\p{M} ._'-]{0,39}$/u);
export const createTableInput = z.object({
  boot: z.int().min(1).max(100_000),
  title: title.optional(),
  seats: z.int().min(SEATS_MIN).max(SEATS_MAX).optional(),
  variation: z.enum(VARIATION_NAMES).optional(),
});
export const reviewInput = z.object({ handNumber });

// ---- between entities, and from the operator

const config = z.object({
  seats: z.int(),
  boot: z.int().min(1).max(BOOT_MAX),
  maxBlindTurns: z.int(),
  chaalLimit: z.int(),
  potLimit: z.int(),
  turnMs: z.int(),
  turnGraceMs: z.int(),
  sideShowMs: z.int(),
  betweenHandsMs: z.int(),
  seatHeldMs: z.int(),
  seedRevealMs: z.int(),
  seenMayShowBlind: z.boolean(),
  a23: z.enum(["second", "top", "low"]),
  variation: z.enum(VARIATION_NAMES),
});
export const settingsInput = z.object({
  title,
  config,
  buyInMin: chips,
  buyInMax: chips,
  isPrivate: z.boolean(),
});
export const openTableInput = z.object({ table: tableId, settings: settingsInput });
export const openInput = z.object({ settings: settingsInput, owner: z.string().nullable() });
const profile = z.object({ name: keptName, avatar, clientSeed });
export const seatPlayerInput = z.object({ sit: z.int().min(1), profile, seat: seat.nullable(), buyIn: chips });
export const profileChangedInput = z.object({ profile });
export const chipsInput = z.object({ amount: chips });
export const giveInput = z.object({ gift, toSeat: seat, amount: chips });
export const cashOutInput = z.object({
  table: tableId,
  sit: z.int().min(1),
  amount: z.int().min(0),
  hands: z.int().min(0),
  reason: z.enum(["chosen", "away", "broke", "closed"]),
});
export const tableChangedInput = z.object({ table: tableId, taken: z.int().min(0).max(SEATS_MAX) });
export const tableClosedInput = z.object({ table: tableId, owner: z.string().nullable() });

// ---- a table's own timers

export const handTimer = z.object({ handNumber });
export const deadlineTimer = z.object({ kind: z.enum(["turn", "sideShow"]), handNumber, turn });
export const seatTimer = z.object({ seat, sit: z.int().min(1) });
