/** What the killed server and the audit of its log must agree on. Small, so that a round starts and reads quickly. */

export const shardCount = 32;
export const segmentBytes = 1024 * 1024;
