/**
 * How a bot reaches the service: as an ordinary client, with commands and watched views and nothing else.
 *
 * Invariant: what a bot can do and see through this, a person with the page can.
 */
import { type ConnectOptions, connect } from "holdfast/client";

export type EntityType = "player" | "table" | "lobby";

export interface Door {
  /** Resolves with the reply; throws what the service refused. */
  execute(type: EntityType, key: string, command: string, input?: unknown): Promise<unknown>;
  /** Follows a view until it is stopped. */
  watch(type: EntityType, key: string, view: string, listener: (value: unknown) => void): () => void;
  close(): Promise<void>;
}

/** Over a WebSocket of its own, with the token of development authentication. */
export function openDoor(url: string, user: string, options: Partial<ConnectOptions> = {}): Door {
  const client = connect({ url, token: `dev:${user}`, ...options });
  return {
    async execute(type, key, command, input) {
      const { value } = await client.entity(type, key).execute(command, input);
      return value;
    },
    watch(type, key, view, listener) {
      const watch = client.entity(type, key).watch(view, ({ value }) => listener(value));
      return () => watch.stop();
    },
    close: () => client.close(),
  };
}
