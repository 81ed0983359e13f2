/**
 * Who is told of what happens in the game: analysts, by rows in PostgreSQL, and a webhook of big wins. Each is a durable subscriber
 * of the change log, and on only if the environment says where to.
 *
 * Invariant: no card, seed or salt leaves here: both filters name events that hold none. Names stay sealed.
 */
import type { Sink, SubscriberDeclaration } from "holdfast";

export interface Downstream {
  readonly sinks: Readonly<Record<string, () => Sink>>;
  readonly subscribers: readonly SubscriberDeclaration[];
  /** For people, a line each: what is on, and how to turn on what is off. */
  readonly lines: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Of what the analysts get a row each. */
export const analyticsEvents = ["handSettled", "wonBig", "cashedOut", "toppedUp"] as const;
/** `holdfast.<this>` in PostgreSQL. */
export const analyticsTable = "game_events";

/**
 * @throws Error a setting is there and cannot work
 * @throws HoldfastError `invalid-configuration` likewise
 */
export async function downstreamOf(environment: Environment): Promise<Downstream> {
  const parts = [await analytics(environment), await bigWins(environment)];
  return {
    sinks: Object.assign({}, ...parts.map(({ sinks }) => sinks)) as Downstream["sinks"],
    subscribers: parts.flatMap(({ subscribers }) => subscribers),
    lines: parts.flatMap(({ lines }) => lines),
  };
}

const off = (lines: string[]): Downstream => ({ sinks: {}, subscribers: [], lines });

/** From the beginning: analysts want all there ever was. Rows and cursor are one transaction, so each row is there once. */
async function analytics({ TEEN_PATTI_POSTGRES: connection }: Environment): Promise<Downstream> {
  if (connection === undefined)
    return off(["Analytics in PostgreSQL: off; TEEN_PATTI_POSTGRES=postgres://… turns it on"]);
  // Loaded only here: the driver is not needed to play.
  const { postgresSink } = await import("holdfast/postgres");
  const make = (): Sink => postgresSink({ connection, form: "changes", table: analyticsTable });
  make();
  return {
    sinks: { analytics: make },
    subscribers: [
      {
        name: "analytics",
        form: "changes",
        filter: { types: ["table", "player"], events: analyticsEvents },
        start: "beginning",
        sink: "analytics",
      },
    ],
    lines: [`Analytics in PostgreSQL: on, table holdfast.${analyticsTable}`],
  };
}

/** From now on: nobody wants last year's news when the webhook is turned on. One event a request, signed, at least once. */
async function bigWins({
  TEEN_PATTI_WEBHOOK: url,
  TEEN_PATTI_WEBHOOK_SECRET: secret,
}: Environment): Promise<Downstream> {
  if (url === undefined)
    return off(["Webhook of big wins: off; TEEN_PATTI_WEBHOOK=https://… and TEEN_PATTI_WEBHOOK_SECRET turn it on"]);
  if (secret === undefined)
    throw new Error("TEEN_PATTI_WEBHOOK needs the receiver's secret in TEEN_PATTI_WEBHOOK_SECRET.");
  const { webhookSink } = await import("holdfast/webhook");
  const make = (): Sink => webhookSink({ url, secrets: [secret], body: "event" });
  make();
  return {
    sinks: { bigWins: make },
    subscribers: [
      {
        name: "big-wins",
        form: "changes",
        filter: { types: ["table"], events: ["wonBig"] },
        start: "now",
        sink: "bigWins",
        // What the receiver will never take is set aside for an operator, and the next news goes on.
        rejected: "aside",
      },
    ],
    lines: ["Webhook of big wins: on"],
  };
}
