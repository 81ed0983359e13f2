/**
 * A log whose appends wait for the keys of what they hold.
 *
 * Invariant: a record that holds a value sealed under a key is in the log only after that key is durable. So no crash leaves a
 * value that nobody can open; one between the two leaves a key that seals nothing.
 */
import { isHoldfastError } from "../model/errors.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { Append, AppendResult, ShardLog } from "../ports/log.ts";

/** Of a group commit, one write of all new keys comes before the log's; without new ones nothing is added. */
export function keysFirst(log: ShardLog, keys: KeyStore): ShardLog {
  return {
    tail: (shards) => log.tail(shards),
    claim: (claims) => log.claim(claims),
    append: async (appends: readonly Append[]): Promise<readonly AppendResult[]> => {
      try {
        if (keys.dirty) await keys.sync();
      } catch (error) {
        if (!isHoldfastError(error) || error.code !== "disk-full") throw error;
        return appends.map(() => ({ ok: false, reason: "full" }));
      }
      return await log.append(appends);
    },
    read: (from) => log.read(from),
    trim: (shard, before) => log.trim(shard, before),
    close: async () => {
      await log.close();
      await keys.close();
    },
  };
}
