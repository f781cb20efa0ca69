// Asks the shop about what was scanned.
//
// A scan's id is made once, and it is asked about under that id until there is an answer: whatever
// was lost on the way, the ledger gives the same one again. A text that was left without an answer
// keeps its id for the next time that it is scanned.

import { ShopError, mayComeBack, postJson, sleep } from "../api.js";
import { newId } from "./device.js";

const SCANS = "/api/door/scans";
const UNDO = "/api/door/undo";
// A door does not wait for longer: then the device decides by itself, where it can.
const ANSWER_MS = 4000;
const TRIES = 3;
const PAUSE_MS = 700;
const UNANSWERED_MAX = 50;

export class Scans {
  /**
   * `device` says which device asks, and at which gate. `alone(scan)` decides where the shop does
   * not answer: it resolves to an answer such as the shop's, or to null where it cannot.
   */
  constructor(device, alone = async () => null) {
    this.device = device;
    this.alone = alone;
    this.unanswered = new Map();
  }

  /** What the shop is told of a scan, whenever it is told. */
  newScan(text) {
    const unanswered = this.unanswered.get(text);
    if (unanswered) return unanswered;
    return {
      scan_id: newId(),
      text,
      gate: this.device.gate,
      device: this.device.id,
      scanned_at: Date.now(),
      offline: false,
    };
  }

  /** Resolves to what is decided about a text: the shop's answer, with `text`. */
  async scan(text) {
    const scan = this.newScan(text);
    for (let tries = 1; ; tries += 1) {
      try {
        const [answer] = await postJson(SCANS, [scan], {}, ANSWER_MS);
        this.unanswered.delete(scan.text);
        return { ...answer, text: scan.text };
      } catch (error) {
        if (!mayComeBack(error)) return refusal(scan, error);
        const decided = await this.alone(scan);
        if (decided) {
          this.unanswered.delete(scan.text);
          return { ...decided, text: scan.text };
        }
        if (tries === TRIES) return this.giveUp(scan);
      }
      await sleep(PAUSE_MS);
    }
  }

  giveUp(scan) {
    if (this.unanswered.size >= UNANSWERED_MAX) {
      this.unanswered.delete(this.unanswered.keys().next().value);
    }
    this.unanswered.set(scan.text, scan);
    return { scan_id: scan.scan_id, text: scan.text, result: "unanswered" };
  }

  /** Takes an admission of this device back; throws what went wrong. */
  undo(scanId) {
    return postJson(UNDO, { scan_id: scanId, device: this.device.id }, {}, ANSWER_MS);
  }
}

function refusal(scan, error) {
  if (!(error instanceof ShopError)) throw error;
  const result = error.status === 401 || error.status === 403 ? "no_login" : "refused";
  return { scan_id: scan.scan_id, text: scan.text, result, detail: error.message };
}
