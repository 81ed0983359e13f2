/**
 * A process that delivers one batch to a webhook and prints what came of it: trust in certificates is a matter of a whole
 * process (`NODE_EXTRA_CA_CERTS`). Arguments: URL, secret.
 */
import { isHoldfastError } from "../../model/errors.ts";
import { batchesOf, identityOf, never } from "../../ports/sink.contract.kit.ts";
import { webhookSink } from "./sink.ts";

const [url = "", secret = ""] = process.argv.slice(2);
const sink = webhookSink({ url, secrets: [secret] });
await sink.open(identityOf(1));
try {
  await sink.deliver(batchesOf(3)[0], never);
  console.log("taken");
} catch (error) {
  if (!isHoldfastError(error)) throw error;
  console.log(`${error.code}: ${error.message}`);
}
await sink.close();
