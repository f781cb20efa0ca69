// What is typed, wherever the focus is: hand scanners type as a keyboard does, fast, and end with
// Enter. What is typed outside of a field goes into the one for codes; what a scanner types into
// another field is taken out of there again.

// People leave longer between two keys than this, and scanners do not.
const GAP_MS = 80;
const SCANNED_CHARACTERS_MIN = 12;

const EDITABLE = "input, textarea, select, [contenteditable]";

export class Keys {
  /** `field` is the one for codes; `onScanned(text)` takes what a scanner has typed elsewhere. */
  constructor(field, onScanned) {
    this.field = field;
    this.onScanned = onScanned;
    // What came without a gap, and what the field that it went into held before.
    this.burst = "";
    this.before = "";
    this.lastAt = -Infinity;
    document.addEventListener("keydown", (event) => this.take(event), { capture: true });
  }

  take(event) {
    if (event.ctrlKey || event.metaKey || event.isComposing) return;
    const now = performance.now();
    const isFast = now - this.lastAt < GAP_MS;
    if (event.key === "Enter") return this.end(event, isFast);
    // A key that only changes what the next one means is no gap.
    if (event.key.length !== 1) return;
    const target = event.target;
    if (!isFast) {
      this.burst = "";
      this.before = target.matches(EDITABLE) ? target.value : "";
    }
    // A button would be pressed by a space, and what is open may not be left.
    if (!target.matches(EDITABLE)) {
      if (!isFast && event.key === " ") return;
      this.field.focus();
    }
    this.burst += event.key;
    this.lastAt = now;
  }

  end(event, isFast) {
    const scanned = isFast && this.burst.length >= SCANNED_CHARACTERS_MIN ? this.burst : "";
    this.burst = "";
    this.lastAt = -Infinity;
    // The form of the field for codes takes all that is in it, also where a scanner has paused.
    if (!scanned || event.target === this.field) return;
    event.preventDefault();
    if (event.target.matches(EDITABLE)) event.target.value = this.before;
    this.onScanned(scanned);
  }
}
