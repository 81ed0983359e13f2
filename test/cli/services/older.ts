/** The kitchen sink as its second generation had it: what the third recorded is unknown to it. */
import { sinkOf } from "../../golden/kitchen-sink.ts";

export const entities = sinkOf(2);
