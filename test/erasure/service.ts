/** Entities through which personal data goes by every path there is: events, states, sends, timers, calls, quarantine. */
import { z } from "zod";
import { callOutcome } from "../../src/model/call-outcome.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { isSealed, personal, type Sealed } from "../../src/model/sealed.ts";
import { sendOutcome } from "../../src/model/send-outcome.ts";

const name = z.string().min(1).max(100).transform(personal);
const sealedName = z.custom<Sealed<string>>(isSealed);

interface PersonState {
  name: Sealed<string> | null;
  answers: Sealed<string>[];
  filled: number;
}

const person = defineEntity("person", {
  personal: true,
  state: (): PersonState => ({ name: null, answers: [], filled: 0 }),
  events: {
    named: (state, event: { name: Sealed<string> }) => {
      state.name = event.name;
    },
    answered: (state, event: { answer: Sealed<string> }) => {
      state.answers.push(event.answer);
    },
    filled: (state) => {
      state.filled++;
    },
    broke: () => {
      throw new Error("cannot be evolved");
    },
  },
  calls: {
    echo: async (input: { name: string | null }) => ({ echo: input.name ?? "nobody" }),
    /** Is never done: its input stays in the entity. */
    wait: async (_input: { name: string | null }): Promise<null> => {
      throw new Error("the receiver is down");
    },
  },
  commands: (command) => ({
    register: command(z.object({ name }), (_state, input, ctx) => {
      ctx.emit("named", { name: input.name });
      ctx.send({ type: "room", key: "hall" }, "enter", input, { reply: "entered", context: input });
      ctx.schedule("reminder", { afterMs: 86_400_000 }, "remind", input);
      ctx.call("echo", input, { result: "echoed", context: input });
      ctx.call("wait", input, { attempts: 1 });
      return (next) => ({ name: next.name });
    }),
    entered: command(sendOutcome<{ who: Sealed<string> }, { name: Sealed<string> }>(), (_state, outcome, ctx) => {
      if (outcome.ok) ctx.emit("answered", { answer: outcome.value.who });
    }),
    echoed: command(callOutcome<{ echo: string }, { name: Sealed<string> }>(), (_state, outcome, ctx) => {
      if (outcome.ok) ctx.emit("answered", { answer: ctx.seal(outcome.value.echo) });
    }),
    remind: command(z.object({ name: sealedName }), () => {}),
    refuse: command(z.object({ name }), (_state, input, ctx) => ctx.reject("no", { name: input.name })),
    fill: command((_state, _input, ctx) => {
      ctx.emit("filled", {});
    }),
    break: command(z.object({ name }), (_state, input, ctx) => {
      ctx.emit("named", { name: input.name });
      ctx.emit("broke", {});
    }),
  }),
  queries: {
    name: (state) => state.name,
    /** The state as it is, sealed values and all. */
    raw: (state) => JSON.stringify(state),
  },
  views: { card: (state) => ({ name: state.name, answers: state.answers }) },
  access: () => true,
});

const room = defineEntity("room", {
  personal: true,
  state: () => ({ names: [] as Sealed<string>[] }),
  events: {
    entered: (state, event: { name: Sealed<string> }) => {
      state.names.push(event.name);
    },
  },
  commands: (command) => ({
    enter: command(z.object({ name: sealedName }), (_state, input, ctx) => {
      ctx.emit("entered", input);
      return () => ({ who: input.name });
    }),
  }),
  queries: { raw: (state) => JSON.stringify(state) },
  views: { names: (state) => state.names },
  access: () => true,
});

export const entities = [person, room];
