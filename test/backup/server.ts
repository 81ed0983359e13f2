/**
 * The accounts as a process of its own, under load until it is told to end:
 * `npx node --conditions=source test/backup/server.ts <directory>`.
 *
 * It prints `ready`, and at the end what all balances add up to.
 */
import { Load, openAccounts, settleChips, startAccounts } from "./service.harness.ts";

const service = await startAccounts(process.argv[2] ?? ".data");
await openAccounts(service);
const load = new Load(service, 5);
console.log("ready");
process.once("SIGTERM", () => void end());

async function end(): Promise<void> {
  await load.stop();
  const { held } = await settleChips(service);
  await service.stop();
  console.log(`held ${held}`);
}
