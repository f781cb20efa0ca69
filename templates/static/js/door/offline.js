// What this device does for the time without a network, and after it: it learns what it has to know,
// tells the shop of what it has decided alone, and shows how that stands.

import { repeat } from "../api.js";
import { count, localTime, setText } from "../format.js";
import { LiveTable, cellText } from "../table.js";
import { keepPage } from "./kept-page.js";
import { learn } from "./learning.js";
import { Queue } from "./queue.js";
import { verdictOf } from "./verdict.js";

const PAUSE_MS = 3000;
const LEARN_PAUSE_MS = 15_000;
const SHOWN_MAX = 50;

export class Offline {
  /**
   * `root` has the place for the words, and a live table for the scans that somebody has to look
   * at. `onAnswer(scan, answer)` hears what the shop says of what was decided without it.
   */
  constructor(root, { store, alone, onAnswer }) {
    this.words = root.querySelector("[data-offline-words]");
    this.aside = root.querySelector("[data-aside]");
    this.store = store;
    this.alone = alone;
    this.queue = new Queue(store, onAnswer);
    this.table = new LiveTable(this.aside, (each) => each.scan_id, this.fill.bind(this));
    this.trouble = "";
    this.isKept = true;
    keepPage().then((isKept) => {
      this.isKept = isKept;
    });
    // A browser that is short of room takes what it keeps from others first.
    navigator.storage?.persist?.().catch(() => {});
    /** Tells the shop at once, for it may be back. */
    this.refresh = repeat(() => this.send(), () => PAUSE_MS, this.fail.bind(this));
    repeat(() => this.learn(), () => LEARN_PAUSE_MS, () => {});
  }

  async send() {
    await this.alone.started;
    if (this.alone.hasStore && (await this.store.countWaiting()) > 0) {
      if (await this.queue.send()) this.alone.isAway = false;
    }
    this.trouble = "";
    await this.show();
    return false;
  }

  fail(error) {
    this.trouble = error.message;
    this.show();
  }

  async learn() {
    await learn(this.store, this.alone);
    await this.show();
    return false;
  }

  /** The shop has answered something: what waits may be told. */
  async hear() {
    if (!this.alone.isAway) return;
    if (this.alone.hasStore && (await this.store.countWaiting()) > 0) return this.refresh();
    this.alone.isAway = false;
    await this.show();
  }

  async show() {
    await this.alone.started;
    if (!this.alone.hasStore) return setText(this.words, this.alone.why);
    const [waiting, aside, learnedAt] = await Promise.all([
      this.store.countWaiting(),
      this.store.getAside(SHOWN_MAX),
      this.store.getKept("learned_at"),
    ]);
    setText(this.words, [this.state(learnedAt), waits(waiting, this.trouble)].join(" ").trim());
    this.aside.hidden = aside.length === 0;
    this.table.show(aside);
  }

  state(learnedAt) {
    const { why, isAway } = this.alone;
    if (why) return why;
    const known = learnedAt ? ` by what it knew at ${localTime(learnedAt)}` : "";
    if (isAway) return `Offline: this device decides alone${known}.`;
    const kept = this.isKept ? "" : " Keep this page open: it cannot be opened then.";
    return `Without a network, codes are checked here${known}.${kept}`;
  }

  fill(cells, each) {
    cellText(cells.time, localTime(each.item.scan.scanned_at));
    cellText(cells.words, wordsOf(each));
    cellText(cells.more, moreOf(each));
    cellText(cells.done, each.answer ? "Seen" : "Send again");
    cells.done.onclick = () => this.finish(each);
  }

  async finish(each) {
    await (each.answer ? this.store.dropAside(each.scan_id) : this.store.sendAgain(each));
    this.refresh();
    await this.show();
  }
}

function waits(waiting, trouble) {
  if (waiting === 0) return "";
  const scans = waiting === 1 ? "1 scan waits" : `${count(waiting)} scans wait`;
  return `${scans} to be sent. ${trouble}`;
}

function wordsOf({ answer }) {
  if (!answer) return "Not taken by the shop";
  if (answer.result === "already_inside") return "Let in twice";
  return `Let in: ${verdictOf(answer).words}`;
}

function moreOf({ item, answer, detail }) {
  const { gate, scanned_at: at } = item.scan;
  const parts = [`Let in here at ${localTime(at)}, at ${gate}, offline`];
  if (answer?.admitted_at_iso) {
    const where = answer.gate ? `, at ${answer.gate}` : "";
    parts.push(`First at ${localTime(answer.admitted_at_iso)}${where}`);
  }
  if (answer?.order) parts.push(`Order ${answer.order}`);
  if (detail) parts.push(detail);
  return parts.join(" · ");
}
