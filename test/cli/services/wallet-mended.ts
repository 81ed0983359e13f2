/** The wallet with its evolve mended. */
import { makeWallet } from "./wallet.ts";

export const wallet = makeWallet(true);
