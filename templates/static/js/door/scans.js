// What was scanned: the shop is asked, and where it does not answer, the device decides alone.
//
// A scan's id is made once, and it is asked about under that id until there is an answer: whatever
// was lost on the way, the ledger gives the same one again. A text that was left without an answer
// keeps its id for the next time that it is scanned, also when the page was closed meanwhile.

import { ShopError, mayComeBack, postJson, sleep } from "../api.js";
import { askShop } from "./asking.js";
import { newId } from "./device.js";
import { Unanswered } from "./unanswered.js";

const UNDO = "/api/door/undo";
// A door does not wait for longer: then the device decides by itself, where it can.
const ANSWER_MS = 4000;
const TRIES = 3;
const PAUSE_MS = 700;

export class Scans {
  /** `device` says which device asks, and at which gate; `alone` decides where the shop is away. */
  constructor(device, alone) {
    this.device = device;
    this.alone = alone;
    this.unanswered = new Unanswered();
  }

  /** What the shop is told of a scan, whenever it is told. */
  newScan(text) {
    return {
      scan_id: newId(),
      text,
      gate: this.device.gate,
      device: this.device.id,
      scanned_at: Date.now(),
      offline: false,
    };
  }

  /** Resolves to what is decided about a text: the shop's answer, or one such as it, with `text`. */
  async scan(text) {
    // By this scan the ticket may be inside already, which only the shop can tell.
    const asked = this.unanswered.get(text);
    const scan = asked ?? this.newScan(text);
    const decided = asked ? null : await this.alone.before(scan);
    if (decided) return this.decide(scan, decided);
    this.unanswered.add(scan);
    for (let tries = 1; ; tries += 1) {
      try {
        const [answer] = await askShop([scan], ANSWER_MS);
        this.alone.isAway = false;
        this.alone.heard(scan, answer);
        return this.decide(scan, answer);
      } catch (error) {
        if (!mayComeBack(error)) return refusal(scan, error);
        this.alone.isAway = true;
        const alone = await this.alone.decide(scan);
        if (alone.result !== "cannot_check") return this.decide(scan, alone);
        if (tries === TRIES) return alone;
      }
      await sleep(PAUSE_MS);
    }
  }

  decide(scan, answer) {
    this.unanswered.drop(scan);
    return { ...answer, text: scan.text };
  }

  /** Takes an admission of this device back; throws what went wrong. */
  async undo(scan) {
    await postJson(UNDO, { scan_id: scan.scan_id, device: this.device.id }, {}, ANSWER_MS);
    // Of one that was scanned long ago, the list of ends tells.
    if (scan.text) this.alone.heard(scan, { ...scan, undone: true });
  }
}

function refusal(scan, error) {
  if (!(error instanceof ShopError)) throw error;
  const result = error.status === 401 || error.status === 403 ? "no_login" : "refused";
  return { scan_id: scan.scan_id, text: scan.text, result, detail: error.message };
}
