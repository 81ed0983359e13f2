/** What `holdfast start` runs as a node of a cluster: the settings that come as texts, put in their places. Loaded only where it is used. */
import { type ClusterService, type ClusterServiceOptions, keysFromSecret, startCluster } from "./cluster.ts";

export interface NodeSettings extends Omit<ClusterServiceOptions, "postgres" | "keys"> {
  readonly connection: string;
  readonly schema: string;
  /** Keys of personal data follow from it. */
  readonly keysSecret?: string;
}

/** @throws as `startCluster` */
export function startClusterNode({
  connection,
  schema,
  keysSecret,
  ...options
}: NodeSettings): Promise<ClusterService> {
  const keys = keysSecret === undefined ? {} : { keys: keysFromSecret(keysSecret) };
  return startCluster({ ...options, ...keys, postgres: { connection, schema } });
}
