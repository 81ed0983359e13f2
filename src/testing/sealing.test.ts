/** Personal data in given/when/then: sealed without keys, comparable, and erasable. */
import { test } from "node:test";
import { z } from "zod";
import { defineEntity } from "../model/entity.ts";
import { personal, type Sealed } from "../model/sealed.ts";
import { given } from "./given.ts";
import { sealedFor } from "./sealing.ts";

const guest = defineEntity("guest", {
  personal: true,
  state: () => ({ name: null as Sealed<string> | null }),
  events: {
    named: (state, event: { name: Sealed<string> }) => {
      state.name = event.name;
    },
  },
  commands: (command) => ({
    name: command(z.object({ name: z.string().transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("named", { name });
      ctx.send({ type: "room", key: "hall" }, "enter", { name });
      return (next) => ({ name: next.name });
    }),
    count: command((state, _input, ctx) => {
      const letters = state.name === null ? undefined : ctx.open(state.name)?.length;
      return () => ({ letters: letters ?? null });
    }),
  }),
  access: () => true,
});

const ann = { type: "guest", key: "ann" } as const;

test("what a schema marks is sealed in events and sends, opened in the reply", () => {
  const name = sealedFor(ann, "Ann");
  given(guest, [], { key: "ann" })
    .when("name", { name: "Ann" })
    .then({
      events: [{ name: "named", payload: { name } }],
      sends: [{ to: { type: "room", key: "hall" }, command: "enter", input: { name } }],
      reply: { name: "Ann" },
      state: { name },
    })
    .when("count")
    .then({ reply: { letters: 3 } });
});

test("after an erasure a decide opens nothing, and the reply has null", () => {
  const past = given(guest, [{ name: "named", payload: { name: sealedFor(ann, "Ann") } }], { key: "ann" });
  past.when("count", undefined, { erased: [ann] }).then({ reply: { letters: null } });
  past.when("count", undefined, { erased: [{ type: "guest", key: "bob" }] }).then({ reply: { letters: 3 } });
});
