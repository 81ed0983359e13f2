/**
 * Items as messages of NATS: CloudEvents in binary mode, by the NATS protocol binding of CloudEvents 1.0.
 */
import type { FeedItem } from "../../model/feeds.ts";
import { cloudAttributesOf, cloudDataOf } from "../../wire/cloud-events.ts";
import type { OutgoingMessage } from "./link.ts";

export function messageOf(item: FeedItem, service: string, subject: string): OutgoingMessage {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(cloudAttributesOf(item, service))) {
    headers[name === "datacontenttype" ? "content-type" : `ce-${name}`] = encoded(String(value));
  }
  return { subject, headers, data: JSON.stringify(cloudDataOf(item)) };
}

const unsafe = /[^\x21\x23\x24\x26-\x7e]+/g;

/** Percent-encoded as the binding says: what is not printable ASCII, and space, `"` and `%`. */
function encoded(value: string): string {
  return value.replace(unsafe, (part) => encodeURIComponent(part.toWellFormed()));
}
