// Asks the shop about scans: one answer for each, in their order.

import { OfflineError, postJson } from "../api.js";

const SCANS = "/api/door/scans";

/** Resolves to the answers; throws what went wrong, also where something else has answered. */
export async function askShop(scans, timeoutMs) {
  const answers = await postJson(SCANS, scans, {}, timeoutMs);
  // What stands between here and a network, a hotel's login say, answers as well.
  const isOurs = Array.isArray(answers) && answers.every((each) => typeof each?.result === "string");
  if (!isOurs || answers.length !== scans.length) {
    throw new OfflineError("The shop does not answer.");
  }
  return answers;
}

/** What is known of a ticket by an answer; null where nothing is against letting it in. */
export function knownBy(answer) {
  const { result, gate, undone } = answer;
  if (result === "refunded") return { state: result, at: Date.parse(answer.refunded_at_iso) };
  if (undone || (result !== "admitted" && result !== "already_inside")) return null;
  return { state: "inside", at: Date.parse(answer.admitted_at_iso), gate };
}
