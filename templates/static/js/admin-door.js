// The door in the box office: how many are inside and came in when, incidents, admissions that were
// taken back, and devices, refreshed every few seconds.

import { orderLink, timeCell } from "./admin-cells.js";
import { getJson, postJson } from "./api.js";
import { MinutesChart, MinutesTable, lately, showBars, together } from "./door-bars.js";
import { count, localMoment, setText } from "./format.js";
import { keepLive } from "./live.js";
import { LiveTable, cellText } from "./table.js";

const PAUSE_MS = 3000;
// How many came in lately is of so many minutes.
const LATELY_MINUTES = 5;

// Gate 2 stands before Gate 10.
const byName = new Intl.Collator("en", { numeric: true }).compare;

const RESULT_WORDS = {
  admitted: "Admitted",
  already_inside: "Already inside",
  refunded: "Refunded",
  not_paid: "Not paid",
  hall_full: "Hall full",
};

const find = (selector) => document.querySelector(selector);
const page = find("[data-door-office]");
const table = (name) => find(`[data-table="${name}"]`);
const shownMax = page.dataset.shownMax;
const chart = new MinutesChart(find("[data-chart=minutes]"));
const numbers = new MinutesTable(find("[data-minutes-table]"));

let peak = 0;

const gates = new LiveTable(
  table("gates"),
  (gate) => gate.name,
  (cells, gate) => {
    cellText(cells.name, gate.name);
    cellText(cells.admitted, count(gate.admitted));
    cellText(cells.classes, Object.entries(gate.classes).map(([cls, n]) => `${cls} ${count(n)}`).join(", "));
    cellText(cells.lately, count(lately(gate.minutes, LATELY_MINUTES)));
    showBars(cells.bars, gate.minutes, peak);
    cellText(cells.refused, count(gate.refused));
    cellText(cells.undone, count(gate.undone));
    cellText(cells.incidents, count(gate.incidents));
    timeCell(cells.last, gate.last_at_iso);
  },
);

/** Where and when, by which device's clock. */
function place(gate, iso, offline) {
  return `${gate}, ${localMoment(iso)}${offline ? ", offline" : ""}`;
}

function fillIncident(cells, incident) {
  orderLink(cells.id, incident.order_id);
  cellText(cells.ticket, `Ticket ${incident.ticket}, ${incident.class_name}`);
  cellText(cells.email, incident.email);
  cellText(cells.second, place(incident.gate, incident.scanned_at_iso, true));
  cellText(cells.second_who, incident.who);
  const { other, since_iso: since } = incident;
  const word = RESULT_WORDS[incident.result] ?? incident.result;
  const before = since ? `${word} since ${localMoment(since)}` : word;
  cellText(cells.first, other ? place(other.gate, other.scanned_at_iso, other.offline) : before);
  cellText(cells.first_who, other ? other.who : "");
}

const incidents = new LiveTable(
  table("incidents"),
  (incident) => incident.scan_id,
  (cells, incident) => {
    fillIncident(cells, incident);
    cells.seen.setAttribute("aria-label", `Seen to, ticket ${incident.ticket} of ${incident.order_id}`);
    cells.seen.onclick = () => see(incident.scan_id, cells.seen);
  },
);

const seen = new LiveTable(
  table("seen"),
  (incident) => incident.scan_id,
  (cells, incident) => {
    fillIncident(cells, incident);
    cellText(cells.seen_by, incident.seen_by);
    timeCell(cells.seen_at, incident.seen_at_iso);
  },
);

const undone = new LiveTable(
  table("undone"),
  (scan) => scan.scan_id,
  (cells, scan) => {
    orderLink(cells.id, scan.order_id);
    cellText(cells.ticket, count(scan.ticket));
    cellText(cells.gate, scan.gate);
    timeCell(cells.admitted, scan.admitted_at_iso);
    timeCell(cells.undone, scan.undone_at_iso);
    cellText(cells.who, scan.undone_by);
  },
);

const devices = new LiveTable(
  table("devices"),
  (device) => device.device,
  (cells, device) => {
    cellText(cells.device, device.device);
    cellText(cells.gate, device.gate);
    cellText(cells.who, device.who);
    timeCell(cells.last, device.last_at_iso);
    cellText(cells.result, RESULT_WORDS[device.result] ?? device.result);
  },
);

async function refreshFigures() {
  const { figures, minutes, first_minute_iso: first } = await getJson("/api/admin/door");
  showInside(page, figures);
  for (const each of figures.classes) {
    const card = find(`[data-inside="${each.cls}"]`);
    if (card) showInside(card, each);
  }
  const { places, places_left: left } = figures;
  find("[data-hall]").hidden = places === null;
  setText(find("[data-figure=places]"), places === null ? "–" : count(places));
  setText(find("[data-figure=places_left]"), left === null ? "–" : count(left));
  const length = Number(page.dataset.minutes);
  const rows = figures.gates
    .map((gate) => ({ ...gate, minutes: minutes[gate.name] ?? new Array(length).fill(0) }))
    .sort((one, other) => byName(one.name, other.name));
  peak = Math.max(0, ...rows.map((gate) => Math.max(...gate.minutes)));
  gates.show(rows);
  const all = together(Object.values(minutes), length);
  chart.show(all, first);
  setText(find("[data-figure=lately]"), count(lately(all, LATELY_MINUTES)));
  numbers.show(Object.entries(minutes).sort(([one], [other]) => byName(one, other)), first);
}

function showInside(root, { inside, sold }) {
  setText(root.querySelector("[data-number=inside]"), count(inside));
  setText(root.querySelector("[data-number=sold]"), count(sold));
  const bar = root.querySelector("[data-inside-bar]");
  bar.setAttribute("width", `${sold ? ((100 * inside) / sold).toFixed(2) : 0}%`);
}

async function refreshIncidents() {
  const { items, total } = await getJson(`/api/admin/door/incidents?limit=${shownMax}`);
  incidents.show(items);
  setText(find("[data-figure=incidents]"), count(total));
}

async function refreshSeen() {
  const { items, total } = await getJson(`/api/admin/door/incidents?seen=true&limit=${shownMax}`);
  seen.show(items);
  setText(find("[data-seen-total]"), count(total));
}

async function refreshUndone() {
  undone.show((await getJson(`/api/admin/door/undone?limit=${shownMax}`)).items);
}

async function refreshDevices() {
  devices.show((await getJson("/api/admin/door/devices")).items);
}

/** What the button of an incident does; pressed twice, it is written down once. */
async function see(scanId, button) {
  button.disabled = true;
  try {
    await postJson(`/api/admin/door/incidents/${encodeURIComponent(scanId)}/seen`, {});
    live.wake();
  } catch (error) {
    button.disabled = false;
    live.lost(error);
  }
}

const live = keepLive(
  [refreshFigures, refreshIncidents, refreshSeen, refreshUndone, refreshDevices],
  PAUSE_MS,
);
