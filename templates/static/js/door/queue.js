// Tells the shop of the scans that this device has decided alone: in their order, many at a time,
// and under the ids that they have, so that what is told twice is there once.
//
// One that the shop does not take never keeps the others: it is put aside, for somebody to look at.

import { OfflineError, ShopError, mayComeBack } from "../api.js";
import { askShop, knownBy } from "./asking.js";

// The shop takes 500. So many leave in a second also by a slow network.
const BATCH_MAX = 100;
const ANSWER_MS = 20_000;
// Where so many failed one by one and none was taken since, it may be the shop, and not the scans:
// groups of them are told as a whole then, and those that fail wait for the next round.
const SUSPECTS_MAX = 3;
// Tabs of one device tell them one after the other.
const LOCK = "tigerfans-door-queue";

export class Queue {
  /** `onAnswer(scan, answer)` hears what the shop says of each. */
  constructor(store, onAnswer) {
    this.store = store;
    this.onAnswer = onAnswer;
  }

  /**
   * Tells of all that wait; throws what kept it from that. Resolves to whether it did, for another
   * tab may be at it.
   */
  async send() {
    if (!navigator.locks) return this.sendAll();
    return navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => lock && this.sendAll());
  }

  async sendAll() {
    const round = { after: 0, suspects: [], inARow: 0, trouble: null, hasAnswers: false };
    for (;;) {
      const items = await this.store.getWaiting(round.after, BATCH_MAX);
      if (items.length === 0) break;
      await this.sendSome(items, round);
      round.after = items[items.length - 1].number;
    }
    const isShop = round.inARow >= SUSPECTS_MAX;
    const { hasAnswers, suspects, trouble } = round;
    if (hasAnswers) {
      await this.store.putAside(isShop ? suspects.slice(0, -round.inARow) : suspects);
    }
    if (isShop || (trouble && !hasAnswers)) throw trouble;
    return true;
  }

  async sendSome(items, round) {
    let answers;
    try {
      answers = await askShop(items.map(({ scan }) => scan), ANSWER_MS);
    } catch (error) {
      if (!isOfScans(error)) throw error;
      round.trouble = error;
      if (round.inARow >= SUSPECTS_MAX) return;
      if (items.length > 1) {
        const half = items.length >> 1;
        await this.sendSome(items.slice(0, half), round);
        return this.sendSome(items.slice(half), round);
      }
      round.suspects.push({ item: items[0], toSee: toSee(items[0], null, error.message) });
      round.inARow += 1;
      return;
    }
    round.hasAnswers = true;
    round.inARow = 0;
    await this.store.end(answers.map((answer, at) => ended(items[at], answer)));
    answers.forEach((answer, at) => this.onAnswer(items[at].scan, answer));
  }
}

/** Whether it may be one of the scans that the shop does not take, and not the shop or the login. */
function isOfScans(error) {
  if (error instanceof OfflineError || mayComeBack(error)) return false;
  return error instanceof ShopError && error.status !== 401 && error.status !== 403;
}

function ended(item, answer) {
  if (answer.result === "admitted") return { item, ticket: knownBy(answer), toSee: null };
  // Whatever the shop has against it, somebody has come in by it here, and nobody else shall.
  const { scanned_at: at, gate } = item.scan;
  const ticket = knownBy(answer) ?? { state: "inside", at, gate };
  return { item, ticket, toSee: toSee(item, answer, answer.detail) };
}

/** What is put aside; of one that was answered no code stays on the device. */
function toSee({ scan, key }, answer, detail) {
  const kept = answer ? { ...scan, text: undefined } : scan;
  return { scan_id: scan.scan_id, item: { scan: kept, key }, answer, detail };
}
