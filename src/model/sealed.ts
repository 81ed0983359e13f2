/**
 * Personal data: values that are sealed under a key of the subject they are about, wherever they are kept or sent.
 *
 *   text of a sealed value:  <subject: type/key> "." <generation of its key> "." <bytes as base64url>
 *
 * Invariants: a sealed value is plain data that says nothing but whose it is and how long. What is marked and not yet sealed
 * (`personal`) is no plain data: it gets into no record, and what prints it does not show it.
 */
import { sealedMember } from "../std/reserved.ts";

declare const sealedType: unique symbol;

/** A value that only its subject's key opens. Copy it, keep it, send it; a decide opens it with `ctx.open`. */
export type Sealed<T> = { readonly $sealed: string; readonly [sealedType]?: T };

/** As callers see it: sealed values are opened at the door, erased ones are null. */
export type Opened<T> = unknown extends T
  ? T
  : T extends { readonly $sealed: string; readonly [sealedType]?: infer Value }
    ? Exclude<Value, undefined> | null
    : T extends (...parameters: never) => unknown
      ? T
      : T extends object
        ? { [Name in keyof T]: Opened<T[Name]> }
        : T;

/** As callers give it: where the schema marks a value, they give the value. */
export type Unsealed<T> = unknown extends T
  ? T
  : T extends { readonly $sealed: string; readonly [sealedType]?: infer Value }
    ? Exclude<Value, undefined>
    : T extends (...parameters: never) => unknown
      ? T
      : T extends object
        ? { [Name in keyof T]: Unsealed<T[Name]> }
        : T;

/** As an entity hands it to a call's handler, which gets it opened: each value, or a sealed one in its place. */
export type Sealable<T> = unknown extends T
  ? T
  : T extends (...parameters: never) => unknown
    ? T
    : T extends object
      ? { [Name in keyof T]: Sealable<T[Name]> } | Sealed<T>
      : T | Sealed<T>;

const marked = Symbol.for("holdfast.personal");

/** Marked, and not sealed yet. */
class PersonalValue {
  constructor(value: unknown) {
    Object.defineProperty(this, marked, { value });
  }

  toJSON(): string {
    return "[personal]";
  }
}

/**
 * Marks a value as personal in the schema of a command: `z.string().max(40).transform(personal)`. After validation it is
 * sealed, under the key of the entity that takes the command, so the decide sees a `Sealed`. The entity type declares
 * `personal: true`.
 */
export function personal<T>(value: T): Sealed<T> {
  return new PersonalValue(value) as unknown as Sealed<T>;
}

/** True for a sealed value: for schemas of what other entities send, `z.custom<Sealed<string>>(isSealed)`. */
export function isSealed(value: unknown): value is Sealed<unknown> {
  if (typeof value !== "object" || value === null) return false;
  const text = (value as { [sealedMember]?: unknown })[sealedMember];
  return typeof text === "string" && partsOf(text) !== undefined && Object.keys(value).length === 1;
}

export interface SealedParts {
  /** `type/key`. */
  readonly subject: string;
  /** Of the subject's keys, which: the first is 1. */
  readonly generation: number;
  readonly data: string;
}

const form = /^([a-z][a-z0-9-]{0,63}\/[A-Za-z0-9_-]{1,128})\.([1-9][0-9]{0,9})\.([A-Za-z0-9_-]+)$/;

export function partsOf(text: string): SealedParts | undefined {
  const [, subject, generation, data] = form.exec(text) ?? [];
  if (subject === undefined || data === undefined) return undefined;
  return { subject, generation: Number(generation), data };
}

export function sealedOf({ subject, generation, data }: SealedParts): Sealed<unknown> {
  return { [sealedMember]: `${subject}.${generation}.${data}` };
}

/** No schema makes deeper data that could be recorded. */
const depthMost = 128;

/** The value with each mark replaced by what `seal` makes of it; the same object if it holds none. */
export function sealMarks(value: unknown, seal: (value: unknown) => Sealed<unknown>, depthLeft = depthMost): unknown {
  if (typeof value !== "object" || value === null || depthLeft === 0) return value;
  if (marked in value) return seal((value as { [marked]: unknown })[marked]);
  return mapMembers(value, (member) => sealMarks(member, seal, depthLeft - 1));
}

/** Whether something in it is marked and not sealed. */
export function holdsMarks(value: unknown): boolean {
  let found = false;
  sealMarks(value, () => {
    found = true;
    return { [sealedMember]: "" };
  });
  return found;
}

/** The value with each sealed value replaced by what `open` makes of its text; the same object if it holds none. */
export function openAll<T>(value: T, open: (text: string) => unknown): T {
  if (typeof value !== "object" || value === null) return value;
  const text = (value as { [sealedMember]?: unknown })[sealedMember];
  if (typeof text === "string") return open(text) as T;
  return mapMembers(value, (member) => openAll(member, open)) as T;
}

/** Arrays and plain objects; anything else stays what it is. */
function mapMembers(value: object, change: (member: unknown) => unknown): unknown {
  if (Array.isArray(value)) {
    let copy: unknown[] | undefined;
    for (let index = 0; index < value.length; index++) {
      const changed = change(value[index]);
      if (changed !== value[index]) {
        copy ??= [...value];
        copy[index] = changed;
      }
    }
    return copy ?? value;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  let copy: Record<string, unknown> | undefined;
  for (const [name, member] of Object.entries(value)) {
    const changed = change(member);
    if (changed === member) continue;
    copy ??= { ...value } as Record<string, unknown>;
    copy[name] = changed;
  }
  return copy ?? value;
}
