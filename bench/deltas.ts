/**
 * `npm run bench -- --only deltas`: bytes of deltas against absolutes on the game's table view, over hands that bots play, and the
 * encoder's speed.
 */
import { loadavg } from "node:os";
import { endProcess, firstMessage, startProcess } from "./process.ts";

interface Figures {
  readonly messages: number;
  readonly absolutes: number;
  readonly hands: number;
  readonly wholeBytes: number;
  readonly sentBytes: number;
  readonly wholeText: number;
  readonly sentText: number;
  readonly operations: number;
  readonly values: number;
  readonly nsPerView: number;
  readonly valuesPerSecond: number;
}

export async function measureDeltas(print: (line?: string) => void, quick: boolean): Promise<void> {
  const changes = quick ? 1_000 : 5_000;
  const [busy = 0] = loadavg();
  const child = startProcess("deltas-child.ts", [String(changes)]);
  const views = await firstMessage<Readonly<Record<string, Figures>>>(child);
  await endProcess(child);
  print("## Deltas of the game's table");
  print();
  print(
    `Five bots play; the view as it is sent to one of them and to an onlooker, ${changes.toLocaleString("en")} changes each, without ids. The encoder: the same views compared once more, alone. Load average ${busy.toFixed(1)}.`,
  );
  print();
  print(
    "| viewer | hands | absolute B | sent B | sent / absolute | the same in JSON | operations | sent as absolute | values a view | ns a view | values/s |",
  );
  print("|---|---|---|---|---|---|---|---|---|---|---|");
  for (const [viewer, of] of Object.entries(views)) {
    const [whole, sent, operations] = [of.wholeBytes, of.sentBytes, of.operations].map((sum) => sum / of.messages) as [
      number,
      number,
      number,
    ];
    print(
      `| ${viewer} | ${of.hands} | ${whole.toFixed(0)} | ${sent.toFixed(0)} | ${((sent / whole) * 100).toFixed(1)} % | ${((of.sentText / of.wholeText) * 100).toFixed(1)} % | ${operations.toFixed(1)} | ${of.absolutes} | ${of.values} | ${of.nsPerView.toFixed(0)} | ${Math.round(of.valuesPerSecond).toLocaleString("en")} |`,
    );
  }
  print();
}
