// The button that takes an admission back: it asks once, by itself, and then does it.

const ASKS_MS = 6000;

/**
 * Has `button` ask before it calls `act()`, which resolves when it is done. Another call gives the
 * button to another admission, null takes it away.
 */
export class UndoButton {
  constructor(button) {
    this.button = button;
    this.words = button.textContent;
    this.act = null;
    button.addEventListener("click", () => this.press());
  }

  of(act) {
    const hadOne = this.act !== null;
    this.act = act;
    this.button.hidden = act === null;
    if (hadOne !== (act !== null)) this.rest();
  }

  rest() {
    window.clearTimeout(this.timer);
    this.isAsking = false;
    this.button.disabled = false;
    this.button.textContent = this.words;
  }

  async press() {
    if (!this.isAsking) {
      this.isAsking = true;
      this.button.textContent = this.button.dataset.asks;
      this.timer = window.setTimeout(() => this.rest(), ASKS_MS);
      return;
    }
    window.clearTimeout(this.timer);
    this.button.disabled = true;
    try {
      await this.act();
    } finally {
      this.rest();
    }
  }
}
