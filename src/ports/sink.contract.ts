/**
 * The contract suite of sinks: what every adapter must do, and do alike.
 *
 * An adapter runs it with `testSink(name, open, options)`, where the options say what it promises. A case it cannot pass is
 * skipped by name with a reason, never silently. Each case has a receiver of its own and disposes of it.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { limitsDefault } from "../model/limits.ts";
import type { Plain } from "../std/plain.ts";
import {
  asArrived,
  assertArrived,
  assertCode,
  batchesOf,
  batchOf,
  changeOf,
  cursorOf,
  distinct,
  identityOf,
  never,
  opened,
  type SinkSuiteOptions,
  type SinkUnderTest,
  SuiteRunner,
  subscriber,
} from "./sink.contract.kit.ts";

type Run = (under: SinkUnderTest, options: SinkSuiteOptions) => Promise<void>;

/** Runs the whole suite against one adapter. */
export function testSink(name: string, open: () => Promise<SinkUnderTest>, options: SinkSuiteOptions): void {
  describe(`sink: ${name}`, () => {
    const cases = { ...deliveryCases, ...faultCases, ...(options.keepsCursor ? cursorCases : {}), ...generatedCases };
    for (const [sentence, run] of Object.entries(cases)) {
      test(sentence, async (context) => {
        const reason = options.skip?.[sentence];
        if (reason !== undefined) return context.skip(reason);
        const under = await open();
        try {
          await run(under, options);
        } finally {
          await under.dispose();
        }
      });
    }
  });
}

const strange: readonly Plain[] = [
  "größe 筹码 🂡 \u2028\u2029 \" \\ ' $1 %s {} \t\r\n",
  { $sealed: "player/p-1.1.AAECAwQFBgcICQoL" },
  { name: { $sealed: "player/p-1.2.c2VhbGVk" }, list: [null, true, false, [], {}, [[["deep"]]]] },
  { "": 0, "a.b": 1, "a'b": 2, 'a"b': 3, größe: 4, "\\N": 5, NULL: "NULL" },
  [0, -1, 1.5, 1e-7, 1e21, 9_007_199_254_740_991, -9_007_199_254_740_991, 0.1],
  null,
  "",
  "null",
  "\\N",
];

const deliveryCases: Readonly<Record<string, Run>> = {
  "what is delivered arrives as it was, in order": async (under) => {
    const batches = batchesOf(1, 20, 3, 100);
    const sink = await opened(under);
    for (const batch of batches) await sink.deliver(batch, never);
    assert.deepEqual(await under.arrived(subscriber), asArrived(batches));
    await sink.close();
  },
  "a batch has arrived when it is answered for, whole": async (under) => {
    const sink = await opened(under);
    const batches = batchesOf(5, 5, 5);
    for (const [index, batch] of batches.entries()) {
      const count = index + 1;
      await sink.deliver(batch, never);
      assert.deepEqual(await under.arrived(subscriber), asArrived(batches.slice(0, count)));
    }
    await sink.close();
  },
  "values of all kinds arrive unchanged, sealed ones sealed": async (under) => {
    const items = strange.map((payload, index) => changeOf(index, payload));
    const batch = batchOf(items, "c0", "c1");
    const sink = await opened(under);
    await sink.deliver(batch, never);
    assert.deepEqual(await under.arrived(subscriber), asArrived([batch]));
    await sink.close();
  },
  "text with a character 0 arrives unchanged": async (under) => {
    const batch = batchOf([changeOf(0, { text: "a\0b", "n\0": 1 })], "c0", "c1");
    const sink = await opened(under);
    await sink.deliver(batch, never);
    assert.deepEqual(await under.arrived(subscriber), asArrived([batch]));
    await sink.close();
  },
  "a batch as large as a feed gives arrives whole": async (under) => {
    const items = Array.from({ length: limitsDefault.feedBatchItemsMax }, (_, index) =>
      changeOf(index, { index, text: "chips ".repeat(30) }),
    );
    const batch = batchOf(items, "c0", "c1");
    const sink = await opened(under);
    await sink.deliver(batch, never);
    assertArrived(await under.arrived(subscriber), asArrived([batch]), "exactly once");
    await sink.close();
  },
  "an item as large as a record may be arrives": async (under) => {
    const batch = batchOf([changeOf(0, "é".repeat(limitsDefault.recordBytesMax / 2))], "c0", "c1");
    const sink = await opened(under);
    await sink.deliver(batch, never);
    assert.deepEqual(await under.arrived(subscriber), asArrived([batch]));
    await sink.close();
  },
  "an empty batch is taken and delivers nothing": async (under) => {
    const sink = await opened(under);
    await sink.deliver(batchOf([], "c0", "c1"), never);
    const [, batch] = batchesOf(2, 3);
    await sink.deliver(batch, never);
    await sink.deliver(batchOf([], "c2", "c3"), never);
    assert.deepEqual(await under.arrived(subscriber), asArrived([batch]));
    await sink.close();
  },
  "batches without items may be left out between two deliveries": async (under) => {
    const sink = await opened(under);
    const [first, second] = batchesOf(2, 3);
    await sink.deliver(first, never);
    const later = { ...second, from: "c7", cursor: "c8" };
    await sink.deliver(later, never);
    assert.deepEqual(await under.arrived(subscriber), asArrived([first, later]));
    await sink.close();
  },
  "two subscribers of one place do not disturb each other": async (under) => {
    const [one, other] = [await opened(under, 5, "one"), await opened(under, 1, "other")];
    const [first, second] = batchesOf(4, 4);
    await one.deliver(first, never);
    await other.deliver(second, never);
    assert.deepEqual(await under.arrived("one"), asArrived([first]));
    assert.deepEqual(await under.arrived("other"), asArrived([second]));
    await Promise.all([one.close(), other.close()]);
  },
  "closing is idempotent, and a closed sink takes nothing": async (under) => {
    const unopened = under.make();
    await unopened.close();
    const sink = await opened(under);
    await sink.close();
    await sink.close();
    await assertCode(sink.deliver(batchesOf(1)[0], never), "unavailable");
    assert.deepEqual(await under.arrived(subscriber), []);
  },
};

const faultCases: Readonly<Record<string, Run>> = {
  "a batch whose answer was lost arrives as is promised when it comes again": async (under, { promise }) => {
    const batches = batchesOf(3, 4, 5);
    const sink = await opened(under);
    await sink.deliver(batches[0], never);
    under.loseAnswer();
    await assertCode(sink.deliver(batches[1], never), "unavailable");
    await sink.deliver(batches[1], never);
    await sink.deliver(batches[2], never);
    const found = await under.arrived(subscriber);
    assertArrived(found, asArrived(batches), promise);
    // What is known to have arrived does not come again; the rest has the same ids when it does.
    assert.ok(found.length <= asArrived(batches).length + 4);
    await sink.close();
  },
  "a batch that was cut arrives whole when it comes again, and its ids are the same": async (under, options) => {
    const batches = batchesOf(3, 40, 5);
    const sink = await opened(under);
    await sink.deliver(batches[0], never);
    under.cut();
    await assertCode(sink.deliver(batches[1], never), "unavailable");
    const between = distinct(await under.arrived(subscriber)).length - 3;
    if (options.whole) assert.ok(between === 0 || between === 40, `whole or nothing, not ${between} of 40`);
    await sink.deliver(batches[1], never);
    await sink.deliver(batches[2], never);
    assertArrived(await under.arrived(subscriber), asArrived(batches), options.promise);
    await sink.close();
  },
  "a receiver that is down is unavailable, and takes the same batch when it is back": async (under, { promise }) => {
    const batches = batchesOf(2, 6, 2);
    const sink = await opened(under);
    await sink.deliver(batches[0], never);
    await under.down();
    for (let attempt = 0; attempt < 3; attempt++) await assertCode(sink.deliver(batches[1], never), "unavailable");
    await under.up();
    const runner = new SuiteRunner(under, batches);
    runner.position = 1;
    await sink.close();
    await runner.open();
    await runner.finish();
    assertArrived(await under.arrived(subscriber), asArrived(batches), promise);
  },
  "the same sink goes on when its receiver is back": async (under, { promise }) => {
    const batches = batchesOf(2, 6);
    const sink = await opened(under);
    await sink.deliver(batches[0], never);
    await under.down();
    await assertCode(sink.deliver(batches[1], never), "unavailable");
    await under.up();
    await sink.deliver(batches[1], never);
    assertArrived(await under.arrived(subscriber), asArrived(batches), promise);
    await sink.close();
  },
  "a delivery that is given up beforehand delivers nothing": async (under) => {
    const [batch] = batchesOf(2);
    const sink = await opened(under);
    await assertCode(sink.deliver(batch, AbortSignal.abort()), "aborted");
    assert.deepEqual(await under.arrived(subscriber), []);
    await sink.deliver(batch, never);
    assert.deepEqual(await under.arrived(subscriber), asArrived([batch]));
    await sink.close();
  },
  "a delivery ends when its signal says so, and the sink can be used again": async (under, { promise }) => {
    const batches = batchesOf(2, 2);
    const sink = await opened(under);
    await sink.deliver(batches[0], never);
    const hangs = under.hang();
    const controller = new AbortController();
    const ended = assertCode(sink.deliver(batches[1], controller.signal), "aborted");
    await hangs;
    controller.abort();
    await ended;
    await sink.deliver(batches[1], never);
    assertArrived(await under.arrived(subscriber), asArrived(batches), promise);
    await sink.close();
  },
  "a sink that is closed while it delivers ends the delivery": async (under) => {
    const sink = await opened(under);
    const hangs = under.hang();
    const ended = assertCode(sink.deliver(batchesOf(1)[0], never), "unavailable");
    await hangs;
    await sink.close();
    await ended;
  },
};

const cursorCases: Readonly<Record<string, Run>> = {
  "an opening gives the cursor of the last batch that arrived, and none at first": async (under) => {
    for (const [index, batch] of batchesOf(2, 0, 3).entries()) {
      const sink = under.make();
      assert.equal(await sink.open(identityOf(index + 1)), index === 0 ? undefined : `c${index}`);
      await sink.deliver(batch, never);
      await sink.close();
    }
    assert.equal(await cursorOf(under, 4), "c3");
    assert.equal(await cursorOf(under, 1, "another"), undefined);
  },
  "a later running fences the one before, whose batch leaves nothing": async (under) => {
    const batches = batchesOf(3, 3, 3);
    const earlier = await opened(under, 1);
    await earlier.deliver(batches[0], never);
    const later = under.make();
    assert.equal(await later.open(identityOf(2)), "c1");
    await assertCode(earlier.deliver(batches[1], never), "fenced");
    await later.deliver(batches[1], never);
    await assertCode(earlier.deliver(batches[2], never), "fenced");
    await assertCode(cursorOf(under, 1), "fenced");
    assert.deepEqual(await under.arrived(subscriber), asArrived(batches.slice(0, 2)));
    await earlier.close();
    await later.deliver(batches[2], never);
    assert.deepEqual(await under.arrived(subscriber), asArrived(batches));
    await later.close();
  },
  "a running may open more than once, and goes on": async (under) => {
    const batches = batchesOf(3, 3);
    const first = await opened(under, 7);
    await first.deliver(batches[0], never);
    await first.close();
    const again = under.make();
    assert.equal(await again.open(identityOf(7)), "c1");
    await again.deliver(batches[1], never);
    await again.close();
    assert.deepEqual(await under.arrived(subscriber), asArrived(batches));
  },
  "a rewound sink stands at the cursor it was given, and takes what comes from there": async (under) => {
    const batches = batchesOf(3, 3, 3);
    const sink = await opened(under, 1);
    for (const batch of batches) await sink.deliver(batch, never);
    await sink.rewind?.("c1");
    await sink.close();
    const next = under.make();
    assert.equal(await next.open(identityOf(2)), "c1");
    for (const batch of batches.slice(1)) await next.deliver(batch, never);
    assert.equal(await next.rewind?.("c0"), undefined);
    for (const batch of batches) await next.deliver(batch, never);
    assert.deepEqual(distinct(await under.arrived(subscriber)), asArrived(batches));
    await next.close();
    assert.equal(await cursorOf(under, 3), "c3");
  },
  "a fenced sink cannot rewind": async (under) => {
    const earlier = await opened(under, 1);
    const later = await opened(under, 2);
    await later.deliver(batchesOf(1)[0], never);
    await assertCode(earlier.rewind?.("c9") ?? Promise.resolve(), "fenced");
    assert.equal(await cursorOf(under, 3), "c1");
    await Promise.all([earlier.close(), later.close()]);
  },
};

type Step = "deliver" | "lose" | "cut" | "reopen";

const generatedCases: Readonly<Record<string, Run>> = {
  "any order of deliveries, lost answers, cuts and new runnings keeps the promise": async (under, options) => {
    const { promise, generatedRuns = 20 } = options;
    const step = fc.constantFrom<Step>("deliver", "deliver", "lose", "cut", "reopen");
    let epoch = 0;
    const property = fc.asyncProperty(
      fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 8 }),
      fc.array(step, { maxLength: 16 }),
      async (sizes, steps) => {
        const batches = batchesOf(...sizes);
        // A subscriber of its own each time: the receiver is kept.
        const name = `run-${++epoch}`;
        const runner = new SuiteRunner(under, batches, name);
        await runner.open();
        for (const one of steps) {
          if (one === "lose") under.loseAnswer();
          if (one === "cut") under.cut();
          if (one === "reopen") await runner.open();
          await runner.step();
        }
        await runner.finish();
        assertArrived(await under.arrived(name), asArrived(batches), promise);
      },
    );
    await fc.assert(property, { numRuns: generatedRuns });
  },
};
