/**
 * A service with a projection, as a process that is to be killed. When it has caught up it compares every document with what the
 * change log adds up to, says so on a line, and then writes as fast as it can until somebody kills it.
 *
 *   service.ts <directory> <version of the projection>
 *
 * Lines: `equal {changes, folded, served}` or `different {…}`; nothing else is printed.
 */
import { type ChangeItem, defineEntity, defineProjection, type EmbeddedService, embedded } from "holdfast";
import { z } from "zod";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";

const [directory = "", versionText = "1"] = process.argv.slice(2);
const version = Number(versionText);
const players = 50;
const inFlight = 32;
const principal = { kind: "system", id: "test" } as const;

const game = defineEntity("game", {
  state: () => ({ hands: 0 }),
  events: {
    won: (state, _event: { player: string; amount: number }) => {
      state.hands++;
    },
  },
  commands: (command) => ({
    win: command(z.object({ player: z.string(), amount: z.number() }), (_state, input, context) => {
      context.emit("won", input);
    }),
  }),
  access: () => true,
});

const wins = defineProjection("wins", {
  from: [game],
  version,
  document: () => ({ won: 0, hands: 0 }),
  key: ({ payload }) => payload.player,
  on: {
    game: {
      won: (document, { amount }) => {
        document.won += amount;
        document.hands += 1;
      },
    },
  },
  orderBy: { won: ({ won }) => won },
});

const service = await embedded({
  entities: [game],
  projections: [wins],
  directory,
  port: 0,
  progress: false,
  limits: { projectionSaveMs: 100 },
  authenticate: async () => ({ principal: { kind: "anonymous", id: "anonymous" } }),
});
await compare(service);
for (let started = 0; started < inFlight; started++) win(service, started);

async function compare({ projections, feeds }: EmbeddedService): Promise<void> {
  let [status] = projections.status();
  while (status?.phase !== "serving" || status.lag?.records !== 0) {
    if (status?.phase === "failed") throw new Error(JSON.stringify(status));
    await new Promise((resolve) => setTimeout(resolve, 5));
    [status] = projections.status();
  }
  const wanted = new Map<string, { won: number; hands: number }>();
  const feed = await feeds.open({ form: "changes", filter: { types: ["game"] }, start: "beginning", principal });
  let changes = 0;
  for (;;) {
    const { items, lag } = await feed.next({ itemsMax: 10_000 });
    changes += items.length;
    for (const { payload } of items as readonly ChangeItem[]) {
      const { player, amount } = payload as { player: string; amount: number };
      const { won, hands } = wanted.get(player) ?? { won: 0, hands: 0 };
      wanted.set(player, { won: won + amount, hands: hands + 1 });
    }
    if (lag.records === 0) break;
  }
  feed.close();
  const { documents } = projections.list("wins", { limit: 1_000 });
  const isEqual =
    documents.length === wanted.size &&
    documents.every(({ key, value }) => {
      const { won, hands } = value as { won: number; hands: number };
      return wanted.get(key)?.won === won && wanted.get(key)?.hands === hands;
    });
  const told = { changes, folded: status.changes, served: status.served };
  console.log(`${isEqual ? "equal" : "different"} ${JSON.stringify(told)}`);
}

function win({ node }: EmbeddedService, count: number): void {
  const input = { player: `p${(count * 7) % players}`, amount: count % 100 };
  const entity = { type: "game", key: `g${count % 8}` };
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  node.execute({ entity, command: "win", input, requestId, principal }, () => win(service, count + 1));
}
