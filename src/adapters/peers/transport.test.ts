/** The transport between processes keeps the contract, by secret and by certificates. */
import { limitsWith } from "../../model/limits.ts";
import { testTransport } from "../../ports/transport.contract.ts";
import { systemClock } from "../system/clock.ts";
import { type PeersOptions, peersTransport } from "./transport.ts";

const limits = limitsWith({ peersMax: 6 });
const secret = "the secret of these nodes, long enough to be one";

testTransport("WebSockets and a secret", async () => ({
  limits,
  opener: ({ secret: other, versions }) => {
    const options: PeersOptions = { limits, secrets: [other ?? secret] };
    return peersTransport(versions === undefined ? options : { ...options, versions });
  },
  pass: (ms) => new Promise((resolve) => systemClock.after(ms, resolve)),
  dispose: async () => {},
}));
