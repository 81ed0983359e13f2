/**
 * What an operator sets of the connections between nodes.
 *
 * Invariant: nothing listens before it can tell a node of the cluster from anybody else: there is a secret, or certificates of both sides
 * are checked.
 */
import type { ConnectionOptions } from "node:tls";
import { HoldfastError } from "../../model/errors.ts";
import { type Limits, limitsDefault } from "../../model/limits.ts";
import type { Clock, Random } from "../../ports/clock.ts";
import { type PeerVersions, peerVersions } from "../../wire/peer.ts";
import { systemClock } from "../system/clock.ts";
import { systemRandom } from "../system/random.ts";

/**
 * Of `node:tls`, for both directions: a node listens and dials with the same certificate. It must hold the name or address by which the
 * node is dialed, or `servername` where all nodes have one name in theirs.
 */
export type PeersTls = Pick<ConnectionOptions, "cert" | "key" | "passphrase" | "ca" | "minVersion" | "servername"> & {
  /** Who dials must show a certificate of `ca`. Without it there must be a secret. */
  readonly requestCert?: boolean;
};

export interface PeersOptions {
  /** Default 127.0.0.1: nobody else's machine. */
  readonly host?: string;
  /** Default 0: any that is free. */
  readonly port?: number;
  /** Where others dial it, host and port, if that is not where it listens: behind a name, or on all addresses. */
  readonly advertise?: string;
  /**
   * What the nodes of a cluster know and nobody else does, each at least 32 characters. The first is proved with, all are accepted: to
   * replace one, give every node both in turn.
   */
  readonly secrets?: readonly string[];
  readonly tls?: PeersTls;
  readonly limits?: Limits;
  readonly versions?: PeerVersions;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Hears of each that was not let in: no secret is in it. */
  readonly refused?: (who: { readonly address: string; readonly detail: string }) => void;
}

export interface PeersSettings {
  readonly host: string;
  readonly port: number;
  readonly advertise: string | undefined;
  readonly secrets: readonly string[];
  readonly tls: PeersTls | undefined;
  readonly limits: Limits;
  readonly versions: PeerVersions;
  readonly clock: Clock;
  readonly random: Random;
  readonly refused: (who: { readonly address: string; readonly detail: string }) => void;
}

/** 32 characters of base64 hold 192 bits; a word that somebody made up and can be tried out is shorter. */
const secretCharsMin = 32;
const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::", ""]);

/** @throws `invalid-configuration` */
export function peersSettings(options: PeersOptions): PeersSettings {
  const { host = "127.0.0.1", secrets = [], tls, advertise } = options;
  if (secrets.some((secret) => secret.length < secretCharsMin))
    refuse(
      `A secret between nodes has at least ${secretCharsMin} characters; make one by \`openssl rand -base64 32\`.`,
    );
  const hasMutual = tls?.requestCert === true && tls.ca !== undefined;
  if (secrets.length === 0 && !hasMutual)
    refuse(
      "Nodes need a secret between them, or TLS with `ca` and `requestCert`, to tell each other from anybody else.",
    );
  if (wildcards.has(host) && advertise === undefined)
    refuse(`Nodes cannot dial "${host}": say by \`advertise\` where this one is reached.`);
  return {
    host,
    port: options.port ?? 0,
    advertise,
    secrets,
    tls,
    limits: options.limits ?? limitsDefault,
    versions: options.versions ?? peerVersions,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    refused: options.refused ?? (() => {}),
  };
}

function refuse(detail: string): never {
  throw new HoldfastError("invalid-configuration", detail);
}
