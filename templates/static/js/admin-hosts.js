// The hosts of the shop, where it has more than one: what each did in its last second, and what is
// wrong with them together.

import { figure } from "./admin-charts.js";
import { age, count, setText } from "./format.js";
import { LiveTable, cellText } from "./table.js";

const STATES = { selling: "Selling", silent: "Silent" };

export class Hosts {
  /** `root` is hidden as long as there is nothing to say. */
  constructor(root) {
    this.root = root;
    this.troubles = new LiveTable(
      root.querySelector("[data-table=troubles]"),
      (trouble) => trouble.subject,
      (cells, trouble) => cellText(cells.sentence, trouble.sentence),
    );
    this.hosts = new LiveTable(
      root.querySelector("[data-table=hosts]"),
      (host) => host.name,
      fillHost,
    );
  }

  show({ items, troubles }) {
    this.troubles.show(troubles);
    this.hosts.show(items);
    this.root.hidden = items.length < 2 && troubles.length === 0;
  }
}

function fillHost(cells, host) {
  cellText(cells.name, host.name);
  setText(cells.state, STATES[host.state] ?? host.state);
  cells.state.dataset.status = host.state;
  cellText(cells.versions, host.versions.join(", "));
  cellText(cells.heard, `${age(host.heard_ms_ago)} ago`);
  // What a silent one did last is over.
  const isNow = host.state === "selling";
  const now = (value, words) => (isNow && value !== null ? words(value) : "\u2013");
  cellText(cells.workers, now(host.workers, count));
  cellText(cells.clerks, now(host.clerks, count));
  cellText(cells.held, now(host.held_per_second, figure));
  cellText(cells.paid, now(host.paid_per_second, figure));
  cellText(cells.batch, now(host.batch_transfers, figure));
  cellText(cells.ledger, now(host.ledger_milliseconds, (ms) => `${figure(ms)} ms`));
  cellText(cells.clock, now(host.clock_ahead_ms, ahead));
}

/** +2.5 s, \u22120.3 s, or 0.0 s. */
function ahead(milliseconds) {
  const seconds = Math.round(milliseconds / 100) / 10;
  const sign = seconds > 0 ? "+" : seconds < 0 ? "\u2212" : "";
  return `${sign}${Math.abs(seconds).toFixed(1)} s`;
}
