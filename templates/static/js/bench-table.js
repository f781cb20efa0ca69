// Results as tables: the figures of one chart, and every measurement. Text only, never markup.

import { figure, phaseWords } from "./bench-charts.js";
import { count } from "./format.js";

/** The figures of a chart: a row for each category, a column for each series and reference. */
export function chartTable({ title, xTitle, unit, categories, series, references }) {
  const columns = [...series, ...references];
  const head = [xTitle || "Operation", ...columns.map(({ name }) => name)];
  const rows = categories.map((category, row) => [category, ...columns.map(({ values }) => figure(values[row]))]);
  return table(`${title} (${unit})`, head, rows, 1);
}

/** Every measurement, repeats merged; what failed says why. */
export function measurementsTable(results, setup) {
  const head = [
    "Operation", "Configuration", "Connections", "Per second", "Of the ceiling", "Half within, ms",
    "99 of 100 within, ms", "Batch", "Errors", "Times", "Failed because",
  ];
  const words = new Map(results.configs.map((config) => [config.name, config.words]));
  const rows = results.ofSetup(setup).map((m) => [
    phaseWords(m.phase),
    words.get(m.config),
    figure(m.concurrency),
    figure(m.throughput),
    percent(results.shareOfCeiling(m)),
    ...[m.p50, m.p99, m.batch].map(figure),
    count(m.errors),
    m.failures.length ? `${m.repeats}, ${m.failures.length} failed` : String(m.repeats),
    [...new Set(m.failures)].join(" "),
  ]);
  return table("Every measurement", head, rows, 2);
}

function percent(share) {
  return share === null ? figure(null) : `${Math.round(100 * share)} %`;
}

/** A table whose first `texts` columns are words and whose others are figures. */
function table(caption, head, rows, texts) {
  const element = document.createElement("table");
  element.createCaption().textContent = caption;
  element.caption.className = "visually-hidden";
  const header = element.createTHead().insertRow();
  for (const [column, text] of head.entries()) {
    const cell = document.createElement("th");
    cell.scope = "col";
    header.append(fill(cell, text, column >= texts));
  }
  const body = element.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const [column, text] of row.entries()) fill(line.insertCell(), text, column >= texts);
  }
  return element;
}

function fill(cell, text, isNumber) {
  cell.textContent = text;
  if (isNumber) cell.className = "number";
  return cell;
}
