// The last scans of this device: what came of each, and a way to take an admission back. They stay
// when the page is loaded again, and go when its tab is closed.

import { localTime } from "../format.js";
import { LiveTable, cellText } from "../table.js";
import { UndoButton } from "./undo.js";
import { verdictOf } from "./verdict.js";

const KEY = "tigerfans-door-last";
const SHOWN_MAX = 20;

export class LastScans {
  /**
   * `root` is a live table's. `undo(scan)` takes an admission back, and resolves when it is;
   * `canUndo(scan)` is whether it may be taken back still.
   */
  constructor(root, { canUndo, undo }) {
    const fill = (cells, scan) => {
      const { kind, words, lines } = verdictOf(scan);
      cells.words.dataset.kind = kind;
      cellText(cells.time, localTime(scan.at));
      cellText(cells.words, words);
      cellText(cells.more, lines.map(({ text }) => text).join(" · "));
      if (!cells.undoButton) cells.undoButton = new UndoButton(cells.undo);
      cells.undoButton.of(canUndo(scan) ? () => undo(scan) : null);
    };
    this.table = new LiveTable(root, (scan) => scan.scan_id, fill);
    this.scans = read();
    this.table.show(this.scans);
  }

  /** A scan that was answered; one that was asked about again takes its own place. */
  add(scan) {
    const others = this.scans.filter((each) => each.scan_id !== scan.scan_id);
    this.keep([scan, ...others].slice(0, SHOWN_MAX));
  }

  /** What the shop says of a scan that was decided without it. */
  answer(scanId, answer) {
    const isOfThis = (scan) => scan.scan_id === scanId && scan.verdict !== undefined;
    if (!this.scans.some(isOfThis)) return;
    this.keep(this.scans.map((scan) => (isOfThis(scan) ? { ...answer, at: scan.at } : scan)));
  }

  keep(scans) {
    this.scans = scans;
    try {
      window.sessionStorage.setItem(KEY, JSON.stringify(this.scans));
    } catch {
      // They are there until the page is loaded again.
    }
    this.table.show(this.scans);
  }
}

function read() {
  try {
    const kept = JSON.parse(window.sessionStorage.getItem(KEY));
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}
