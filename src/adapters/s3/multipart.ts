/**
 * A large object in parts: each is tried again by itself, and the whole appears in one step at the end.
 *
 * Invariant: an upload is completed or aborted; what a process leaves that ends in between is for the bucket's lifecycle rule
 * (`AbortIncompleteMultipartUpload`), as nothing else can see it.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { ObjectTag } from "../../ports/snapshot-store.ts";
import type { S3Calls } from "./calls.ts";

export interface Condition {
  readonly IfMatch?: string;
  readonly IfNoneMatch?: string;
}

export interface PartsUpload {
  readonly client: S3Client;
  readonly calls: S3Calls;
  readonly target: { readonly Bucket: string; readonly Key: string };
  readonly bytes: Uint8Array;
  readonly condition: Condition;
  /** Statuses of the completion that the caller understands. */
  readonly pass: readonly number[];
  readonly onUnknown: () => void;
}

export async function putParts(upload: PartsUpload): Promise<ObjectTag> {
  const { client, calls, target } = upload;
  const begin = (abortSignal: AbortSignal) => client.send(new CreateMultipartUploadCommand(target), { abortSignal });
  const { UploadId } = await calls.run({ what: `begin an upload of ${target.Key}`, send: begin });
  const place = { ...target, UploadId };
  try {
    const Parts = await sendParts(upload, place);
    const command = { ...place, ...upload.condition, MultipartUpload: { Parts } };
    const finish = (abortSignal: AbortSignal) =>
      client.send(new CompleteMultipartUploadCommand(command), { abortSignal });
    const { pass, onUnknown } = upload;
    const { ETag } = await calls.run({ what: `finish the upload of ${target.Key}`, send: finish, pass, onUnknown });
    return calls.tag(ETag, target.Key);
  } catch (error) {
    const abort = (abortSignal: AbortSignal) =>
      client.send(new AbortMultipartUploadCommand(place), { abortSignal }).then(() => undefined);
    // The first failure is what counts. A completed upload is not there any more to be aborted.
    await calls.run({ what: `abort the upload of ${target.Key}`, send: abort }).catch(() => undefined);
    throw error;
  }
}

async function sendParts(
  { client, calls, target, bytes }: PartsUpload,
  place: { readonly Bucket: string; readonly Key: string; readonly UploadId: string | undefined },
): Promise<{ PartNumber: number; ETag: string }[]> {
  const { partBytes } = calls.limits;
  const parts: { PartNumber: number; ETag: string }[] = [];
  for (let from = 0; from < bytes.length; from += partBytes) {
    const PartNumber = parts.length + 1;
    const command = { ...place, PartNumber, Body: bytes.subarray(from, from + partBytes) };
    const send = (abortSignal: AbortSignal) => client.send(new UploadPartCommand(command), { abortSignal });
    const { ETag } = await calls.run({ what: `put part ${PartNumber} of ${target.Key}`, send });
    parts.push({ PartNumber, ETag: calls.tag(ETag, target.Key) });
  }
  return parts;
}
