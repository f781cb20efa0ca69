// How many are inside, of how many that are sold, at all doors together and at each gate.

import { getJson, repeat } from "../api.js";
import { count, setText } from "../format.js";

const FIGURES = "/api/door/figures";
const PAUSE_MS = 4000;

export class Figures {
  /** `root` has the places for the figures; `onState(isLive, words)` hears whether they are live. */
  constructor(root, onState) {
    this.part = (name) => root.querySelector(`[data-figure=${name}]`);
    this.gates = root.querySelector("[data-gates]");
    this.names = document.querySelector("[data-gate-names]");
    this.onState = onState;
    /** Asks again at once, for something has changed. */
    this.refresh = repeat(
      () => this.ask(),
      () => PAUSE_MS,
      (error) => onState(false, error.message),
    );
  }

  async ask() {
    const { inside, sold, gates } = await getJson(FIGURES);
    setText(this.part("inside"), count(inside));
    setText(this.part("sold"), count(sold));
    this.gates.replaceChildren(...gates.map(row));
    // What a new device proposes as the name of its gate.
    this.names.replaceChildren(...gates.map(({ name }) => new Option(name)));
    this.onState(true, "Live");
    return false;
  }
}

function row({ name, admitted }) {
  const item = document.createElement("li");
  const gate = document.createElement("bdi");
  const number = document.createElement("b");
  gate.textContent = name;
  number.textContent = count(admitted);
  item.append(gate, number);
  return item;
}
