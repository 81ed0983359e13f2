/** What the service signs its webhooks with, and the receiver verifies them by. Of tests alone. */
export const secret = "whsec_dGVzdHMgb2Ygc3Vic2NyaWJlcnMgdW5kZXIga2lsbHM=";
