// Who came in by the minute, as bars: of all gates together, of each gate in its row, and by ten
// minutes as a table, for whoever reads numbers.

import { count, localTime, setText } from "./format.js";

// The plots' own units, as in their viewBox: a minute is one wide.
const HEIGHT = 40;
const BAR_WIDTH = 0.8;
const TABLE_MINUTES = 10;
const MINUTE_MS = 60_000;

/** A bar for each minute in which somebody came; `peak` is as high as there is room. */
export function showBars(path, minutes, peak) {
  const bars = minutes.map((number, i) => {
    if (number === 0) return "";
    const top = HEIGHT - (number / peak) * HEIGHT;
    return `M${i} ${HEIGHT}V${top.toFixed(1)}h${BAR_WIDTH}V${HEIGHT}Z`;
  });
  const drawn = bars.join("");
  if (path.getAttribute("d") !== drawn) path.setAttribute("d", drawn);
}

/** The minutes of all gates together; `length` where there is no gate. */
export function together(gates, length) {
  const sums = new Array(length).fill(0);
  for (const minutes of gates) minutes.forEach((number, i) => (sums[i] += number));
  return sums;
}

/** So many came in the last of the minutes. */
export function lately(minutes, last) {
  return minutes.slice(-last).reduce((sum, number) => sum + number, 0);
}

export class MinutesChart {
  /** `root` is a figure with a `data-bars` path, and says from when to when, and how many. */
  constructor(root) {
    this.path = root.querySelector("[data-bars]");
    this.plot = root.querySelector("[data-plot]");
    this.part = (name) => root.querySelector(`[data-chart-${name}]`);
  }

  show(minutes, firstIso) {
    const peak = Math.max(0, ...minutes);
    const times = [firstIso, endOf(firstIso, minutes.length)].map(localTime);
    showBars(this.path, minutes, peak);
    setText(this.part("from"), times[0]);
    setText(this.part("to"), times[1]);
    setText(this.part("peak"), count(peak));
    const label = `Admitted by the minute, ${times.join(" to ")}: at most ${count(peak)} in one.`;
    if (this.plot.getAttribute("aria-label") !== label) this.plot.setAttribute("aria-label", label);
  }
}

/** When the last of the minutes ends. */
function endOf(firstIso, length) {
  return new Date(new Date(firstIso).getTime() + length * MINUTE_MS).toISOString();
}

export class MinutesTable {
  /** `root` is a `details` with a table: filled only while it is open. */
  constructor(root) {
    this.root = root;
    this.head = root.querySelector("thead tr");
    this.body = root.querySelector("tbody");
    this.shown = "";
    root.addEventListener("toggle", () => this.fill());
  }

  /** `gates` are names with their minutes. */
  show(gates, firstIso) {
    this.wanted = { gates, firstIso };
    this.fill();
  }

  fill() {
    const said = JSON.stringify(this.wanted);
    if (!this.root.open || !this.wanted || said === this.shown) return;
    this.shown = said;
    const { gates, firstIso } = this.wanted;
    const first = new Date(firstIso).getTime();
    const length = Math.max(0, ...gates.map(([, minutes]) => minutes.length));
    const starts = [];
    for (let i = 0; i < length; i += TABLE_MINUTES) starts.push(i);
    this.head.replaceChildren(
      cell("th", "Gate", "col"),
      ...starts.map((i) => cell("th", localTime(new Date(first + i * MINUTE_MS).toISOString()), "col")),
    );
    this.body.replaceChildren(
      ...gates.map(([gate, minutes]) => {
        const row = document.createElement("tr");
        const sums = starts.map((i) => lately(minutes.slice(i, i + TABLE_MINUTES), TABLE_MINUTES));
        row.append(cell("th", gate, "row"), ...sums.map((sum) => cell("td", count(sum))));
        return row;
      }),
    );
  }
}

function cell(tag, text, scope) {
  const element = document.createElement(tag);
  const words = document.createElement("bdi");
  words.textContent = text;
  element.append(words);
  if (scope) element.scope = scope;
  if (scope !== "row" && text !== "Gate") element.className = "number";
  return element;
}
