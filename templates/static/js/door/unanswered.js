// Scans that the shop was asked about and has not answered, by their texts: it may have let them in.
// They stay when the page is closed; where the browser keeps nothing, until then.

const KEY = "tigerfans-door-unanswered";
const MAX = 50;

export class Unanswered {
  constructor() {
    this.scans = read();
  }

  get(text) {
    return this.scans.get(text);
  }

  add(scan) {
    this.scans.set(scan.text, scan);
    if (this.scans.size > MAX) this.scans.delete(this.scans.keys().next().value);
    this.keep();
  }

  drop(scan) {
    if (this.scans.delete(scan.text)) this.keep();
  }

  keep() {
    try {
      window.localStorage.setItem(KEY, JSON.stringify([...this.scans.values()]));
    } catch {
      // They are known until the page is closed.
    }
  }
}

function read() {
  try {
    const kept = JSON.parse(window.localStorage.getItem(KEY));
    return new Map(kept.map((scan) => [scan.text, scan]));
  } catch {
    return new Map();
  }
}
