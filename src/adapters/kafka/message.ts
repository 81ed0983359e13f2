/**
 * Items as records of Kafka: CloudEvents in binary mode, by the Kafka protocol binding of CloudEvents 1.0.
 */
import type { FeedItem } from "../../model/feeds.ts";
import { cloudAttributesOf, cloudDataOf } from "../../wire/cloud-events.ts";
import type { KafkaMessage } from "./link.ts";

/**
 * The key is the entity, so that a compacted topic keeps the newest of each. The topic's part is the shard's, modulo their number,
 * and not the key's: so each shard is in order, and not only each entity.
 *
 * The record's own time is that of its delivery, and `ce_time` the event's: by the event's time Kafka's retention would take a history
 * away as soon as it was delivered.
 */
export function messageOf(item: FeedItem, service: string, topic: string): KafkaMessage {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(cloudAttributesOf(item, service))) {
    headers[name === "datacontenttype" ? "content-type" : `ce_${name}`] = String(value);
  }
  const { type, key } = item.entity;
  return {
    topic,
    partition: item.shard,
    key: `${type}/${key}`,
    value: JSON.stringify(cloudDataOf(item)),
    headers,
  };
}
