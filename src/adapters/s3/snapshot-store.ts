/**
 * `holdfast/s3`: a snapshot store in an S3 bucket, or in any store that speaks S3 with conditional writes (`If-Match` and
 * `If-None-Match` on PutObject and CompleteMultipartUpload). It needs the package `@aws-sdk/client-s3` beside it.
 *
 * Every attempt has a time limit; what may pass is tried again a bounded number of times, with pauses that grow and vary. The
 * client's own retries are off, because a `replace` must know that an earlier attempt of it may have been carried out: a refusal
 * after one is resolved by reading what is there.
 *
 * Invariant: the ETag is the tag, and the server compares it in the same step in which it writes. A server that ignores the
 * conditions is found by `checkConditions`, which the opening runs.
 */
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { HoldfastError } from "../../model/errors.ts";
import type { Clock, Random } from "../../ports/clock.ts";
import {
  checkObjectName,
  checkObjectPrefix,
  type ObjectTag,
  type PutResult,
  type SnapshotStore,
  type StoredObject,
} from "../../ports/snapshot-store.ts";
import { type S3CallLimits, S3Calls, s3CallLimitsDefault, statusOf } from "./calls.ts";
import { type Condition, putParts } from "./multipart.ts";

export interface S3SnapshotsOptions {
  readonly bucket: string;
  /** Before all names, such as `service-a/`. Default none. */
  readonly prefix?: string;
  /** Endpoint, region, credentials; what the AWS client takes. Its `maxAttempts` is ours. */
  readonly client?: S3ClientConfig;
  readonly limits?: Partial<S3CallLimits>;
  /** For who only reads, perhaps without the right to write: what the server does with conditions is not checked. */
  readonly readOnly?: boolean;
  readonly clock: Clock;
  readonly random: Random;
}

/** Names that one call of ListObjectsV2 or DeleteObjects takes. */
const namesMax = 1_000;

/** Opens the store and checks that the bucket can be used and that the server keeps conditions. */
export async function openS3Snapshots(options: S3SnapshotsOptions): Promise<SnapshotStore> {
  checkObjectPrefix(options.prefix ?? "");
  const store = new S3SnapshotStore(options);
  try {
    if (options.readOnly !== true) await store.checkConditions();
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

class S3SnapshotStore implements SnapshotStore {
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #client: S3Client;
  readonly #calls: S3Calls;
  readonly #random: Random;

  constructor({ bucket, prefix = "", client, limits, clock, random }: S3SnapshotsOptions) {
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#client = new S3Client({ ...client, maxAttempts: 1 });
    this.#random = random;
    const place = `${bucket}/${prefix}`;
    this.#calls = new S3Calls({ clock, random, place, limits: { ...s3CallLimitsDefault, ...limits } });
  }

  /** @throws `invalid-configuration` if a write whose condition does not hold is carried out */
  async checkConditions(): Promise<void> {
    const name = `conditions/${Buffer.from(this.#random.bytes(12)).toString("hex")}`;
    const bytes = Buffer.from("Holdfast checks here whether this server keeps If-Match and If-None-Match.");
    const made = await this.replace(name, bytes, undefined);
    try {
      const again = await this.replace(name, Buffer.from("none"), undefined);
      const stale = await this.replace(name, Buffer.from("stale"), '"00000000000000000000000000000000"');
      if (made.ok && !again.ok && !stale.ok) return;
    } finally {
      await this.delete([name]);
    }
    throw new HoldfastError(
      "invalid-configuration",
      `The S3 server of bucket ${this.#bucket} ignores If-Match or If-None-Match, so two owners could overwrite each other. ` +
        "Use one that keeps them.",
      { details: { bucket: this.#bucket } },
    );
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    checkObjectName(name);
    if ((await this.#resolve(name, bytes, {})) !== undefined) return;
    throw new HoldfastError("unavailable", `S3 lost the upload of ${name} in bucket ${this.#bucket}.`);
  }

  async replace(name: string, bytes: Uint8Array, expected: ObjectTag | undefined): Promise<PutResult> {
    checkObjectName(name);
    const tag = await this.#resolve(name, bytes, expected === undefined ? { IfNoneMatch: "*" } : { IfMatch: expected });
    return tag === undefined ? { ok: false, reason: "changed" } : { ok: true, tag };
  }

  /** @returns the tag if the bytes are there now; undefined if the write was refused */
  async #resolve(name: string, bytes: Uint8Array, condition: Condition): Promise<ObjectTag | undefined> {
    let unknown = false;
    try {
      return await this.#write(name, bytes, condition, () => {
        unknown = true;
      });
    } catch (error) {
      // 412: another version; 404: If-Match and no object at all, or an upload that was completed already.
      const status = statusOf(error);
      if (status !== 412 && status !== 404) throw error;
    }
    // An attempt without an answer may have been carried out; then the refusal was by our own bytes.
    const found = unknown ? await this.get(name) : undefined;
    return found !== undefined && Buffer.from(bytes).equals(found.bytes) ? found.tag : undefined;
  }

  async #write(name: string, bytes: Uint8Array, condition: Condition, onUnknown: () => void): Promise<ObjectTag> {
    const target = { Bucket: this.#bucket, Key: this.#prefix + name };
    const { multipartBytes } = this.#calls.limits;
    const pass = [412, 404];
    if (bytes.length > multipartBytes)
      return await putParts({ client: this.#client, calls: this.#calls, target, bytes, condition, pass, onUnknown });
    const command = { ...target, ...condition, Body: bytes };
    const send = (abortSignal: AbortSignal) => this.#client.send(new PutObjectCommand(command), { abortSignal });
    const { ETag } = await this.#calls.run({ what: `put ${name}`, send, pass, onUnknown });
    return this.#calls.tag(ETag, name);
  }

  async get(name: string): Promise<StoredObject | undefined> {
    checkObjectName(name);
    const target = { Bucket: this.#bucket, Key: this.#prefix + name };
    const send = async (abortSignal: AbortSignal) => {
      const answer = await this.#client.send(new GetObjectCommand(target), { abortSignal });
      const bytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array(0);
      if (answer.ContentLength !== undefined && answer.ContentLength !== bytes.length)
        throw new Error(`the answer ended after ${bytes.length} of ${answer.ContentLength} bytes`);
      return { bytes: Uint8Array.from(bytes), tag: this.#calls.tag(answer.ETag, name) };
    };
    try {
      return await this.#calls.run({ what: `get ${name}`, send, pass: [404] });
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  async *list(prefix: string): AsyncIterable<string> {
    checkObjectPrefix(prefix);
    const target = { Bucket: this.#bucket, Prefix: this.#prefix + prefix, MaxKeys: namesMax };
    let token: string | undefined;
    do {
      const command = token === undefined ? target : { ...target, ContinuationToken: token };
      const send = (abortSignal: AbortSignal) => this.#client.send(new ListObjectsV2Command(command), { abortSignal });
      const page = await this.#calls.run({ what: `list ${prefix}`, send });
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) yield Key.slice(this.#prefix.length);
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(names: readonly string[]): Promise<void> {
    for (const name of names) checkObjectName(name);
    for (let from = 0; from < names.length; from += namesMax) {
      const Objects = names.slice(from, from + namesMax).map((name) => ({ Key: this.#prefix + name }));
      const command = { Bucket: this.#bucket, Delete: { Objects, Quiet: true } };
      const send = async (abortSignal: AbortSignal) => {
        const answer = await this.#client.send(new DeleteObjectsCommand(command), { abortSignal });
        const failed = answer.Errors?.find(({ Code }) => Code !== "NoSuchKey");
        if (failed !== undefined) throw new Error(`${failed.Code ?? "error"} for ${failed.Key ?? "an object"}`);
      };
      await this.#calls.run({ what: `delete ${Objects.length} objects`, send });
    }
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }
}
