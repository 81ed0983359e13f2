/**
 * Marks: the records of quarantine. That an entity was parked, and what operators did about it. And that a subject was erased.
 *
 * Invariant: a mark that changes a state holds the state that came of it. So a replay needs no second look at earlier
 * records, and code that can evolve what other code could not comes to the same state.
 */
import type { Plain } from "../std/plain.ts";
import type { EntityRef, Offset } from "./ids.ts";
import type { CallCause, EventBody, Principal } from "./records.ts";

/** What an operator does about a parked entity. */
export type OperatorVerb = "inspect" | "skip" | "repair" | "resume";
export const operatorVerbs: readonly OperatorVerb[] = ["inspect", "skip", "repair", "resume"];

/**
 * Why an entity was parked.
 * - `evolve`    its evolve threw at events that had just been decided; they were not recorded
 * - `replay`    its evolve or upcast threw at a record of the log
 * - `throws`    a timer, or the reply to a send, threw at each of its attempts
 * - `too-large` its state is over `stateBytesMax`
 */
export type ParkWhy = "evolve" | "replay" | "throws" | "too-large";

/** What brought a command about, as far as it says which timer or send is held with it. */
export type CapturedCause =
  | { readonly kind: "request"; readonly requestId: string }
  | { readonly kind: "timer"; readonly name: string; readonly setAt: Offset }
  | { readonly kind: "send"; readonly from: EntityRef; readonly sequence: number }
  | { readonly kind: "settled"; readonly to: EntityRef; readonly sequence: number }
  | CallCause;

/** The command that did it, with what is needed to run it again elsewhere. */
export interface Captured {
  readonly command: string;
  /** As it came, before its schema; null at a replay, where the log holds no inputs. */
  readonly input: Plain;
  /** Null at a replay. */
  readonly principal: Principal | null;
  readonly cause: CapturedCause;
  readonly now: number;
  /** What it had decided, if it came so far. */
  readonly events: readonly EventBody[];
}

export interface Park {
  readonly why: ParkWhy;
  /** What was thrown: class, message and a few lines of the stack. */
  readonly error: string;
  readonly captured: Captured | null;
  /** Offset of the record that could not be evolved; 0 if it is not in the log. */
  readonly poison: Offset;
}

/**
 * An entity was parked, or an operator did something about one that is. Or (`erase`) the key of the subject of this name
 * was destroyed: that changes no state, and there need be no such entity.
 */
export interface MarkRecord {
  readonly kind: "mark";
  readonly time: number;
  readonly entity: EntityRef;
  readonly verb: "park" | "erase" | OperatorVerb;
  readonly principal: Principal;
  /** With `park`, and with the `skip` of a command that is not in the log: what it leaves out. */
  readonly park: Park | null;
  /** The entity's state from here on. With `repair`, and with a `skip` of records. */
  readonly state: { readonly value: Plain } | null;
  /** Offsets of the records whose events a `skip` left out. */
  readonly left: readonly Offset[];
}

/** What an operator asks for. */
export interface OperatorCall {
  readonly entity: EntityRef;
  readonly verb: OperatorVerb;
  /** Must be of kind `operator`. */
  readonly principal: Principal;
  /** With `repair`: the state that the entity gets. Plain data, at most `stateBytesMax`. */
  readonly state?: unknown;
  /** Only if the entity was parked by the mark at this offset: guards against an operator who was faster. */
  readonly ifParkedAt?: Offset;
}

/** One line of the list of parked entities. */
export interface ParkedEntry {
  readonly entity: EntityRef;
  /** Offset of its `park` mark. */
  readonly parkedAt: Offset;
  readonly sinceMs: number;
  readonly why: ParkWhy;
  /** Its last good state is in memory: queries and views are answered. */
  readonly readable: boolean;
  readonly version: Offset;
}
