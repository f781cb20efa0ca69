// What was scanned, one after the other: a verdict is always that of the ticket in hand, and whoever
// scans faster than the shop answers sees each of them.

// Nobody scans so many ahead.
const WAITING_MAX = 20;

export class Line {
  /** `serve(text)` resolves when the next one may come; `onFull(text)` hears of one too many. */
  constructor(serve, onFull) {
    this.serve = serve;
    this.onFull = onFull;
    this.waiting = [];
    this.isServing = false;
  }

  get isEmpty() {
    return this.waiting.length === 0;
  }

  async add(text) {
    if (this.waiting.length >= WAITING_MAX) return this.onFull(text);
    this.waiting.push(text);
    if (this.isServing) return;
    this.isServing = true;
    try {
      while (!this.isEmpty) await this.serve(this.waiting.shift());
    } finally {
      // A fault of a script ends one, and not those that come later.
      this.isServing = false;
    }
  }
}
