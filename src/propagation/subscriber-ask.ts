/**
 * What a subscriber's config asks of a feed.
 *
 * Invariant: the same config asks the same, whoever opens the feed: the runner, a group's member, or the check of a new one.
 */
import { runnerPrincipal } from "../core/changefeed/subscriber-entity.ts";
import type { FeedAsk, FeedStart } from "../model/feeds.ts";
import type { SubscriberConfig } from "../model/subscribers.ts";

export function subscriberAsk({ form, filter, view }: SubscriberConfig, start: FeedStart): FeedAsk {
  return { form, filter, ...(view === null ? {} : { view }), start, principal: runnerPrincipal };
}
