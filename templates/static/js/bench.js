// TigerBench: reads recorded results as text and shows them as charts, tables and sentences.
//
// A file of the reader's own is read right here and goes nowhere.

import { chartsOf, phaseWords } from "./bench-charts.js";
import { Drawing, canDraw, lookOf } from "./bench-draw.js";
import { ResultsError, readResults, unique } from "./bench-results.js";
import { chartTable, measurementsTable } from "./bench-table.js";
import { count, localMoment, setText } from "./format.js";

const CHART_HEIGHT_PIXELS = 300;
const ENLARGED_SHARE = 0.5;

const page = document.querySelector("[data-bench]");
const find = (name) => page.querySelector(`[data-${name}]`);
const [files, ownFile, setups, phases, concurrencies] = ["files", "own-file", "setup", "phase", "concurrency"].map(find);
const bytesMax = Number(page.dataset.bytesMax);

let results = null;
// How many results were asked for; only those asked for last are shown.
let asked = 0;
// By chart id, so that a chart stays the same element while one chooses.
const figures = new Map();

// --- Reading -----------------------------------------------------------------------------------

async function readShipped(name) {
  const response = await fetch(`/bench/results/${encodeURIComponent(name)}`);
  if (!response.ok) throw new ResultsError(`The results ${name} cannot be loaded.`);
  return response.text();
}

async function readOwn(file) {
  if (file.size > bytesMax) {
    throw new ResultsError(`${file.name} has ${count(file.size)} bytes; results have at most ${count(bytesMax)}.`);
  }
  return file.text();
}

/** Shows what `read` reads; where it cannot be shown, says why and leaves the page as it is. */
async function open(name, read) {
  const number = ++asked;
  try {
    const text = await read().catch((error) => {
      throw error instanceof ResultsError ? error : new ResultsError(`${name} cannot be read.`);
    });
    if (number !== asked) return;
    results = readResults(text);
  } catch (error) {
    if (number !== asked) return;
    const isSaid = error instanceof ResultsError;
    setText(find("problem"), isSaid ? error.message : `This page has a fault: ${error.message}`);
    if (!isSaid) throw error;
    return;
  }
  setText(find("problem"), "");
  setText(find("status"), `${name}: ${count(results.measurements.length)} measurements.`);
  showFacts();
  offer(setups, results.setups.map((setup) => [setup, setup]), results.setups[0]);
  offer(phases, results.phases.map((phase) => [phase, phaseWords(phase)]), "purchase");
  offer(concurrencies, results.concurrencies.map((c) => [c ?? "", c === null ? "unknown" : count(c)]), results.typicalConcurrency);
  setups.closest("[data-choice]").hidden = results.setups.length < 2;
  find("shown").hidden = false;
  show();
}

/** Fills a select, keeping what was chosen where it is still to be had. */
function offer(select, options, preferred) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
  const values = options.map(([value]) => String(value));
  const wanted = values.includes(before) ? before : String(preferred);
  select.value = values.includes(wanted) ? wanted : (values[0] ?? "");
}

function showFacts() {
  const { measurements } = results;
  const all = (value) => unique(measurements.map(value).filter(Boolean)).join("; ") || "not recorded";
  const moments = measurements.map((m) => m.timestamp).filter((t) => !Number.isNaN(Date.parse(t))).sort();
  setText(find("machine"), all((m) => m.machine));
  setText(find("revision"), all((m) => m.revision));
  setText(find("when"), moments.length ? localMoment(moments[0]) : "not recorded");
  setText(find("failed"), results.failed ? `${count(results.failed)}; the table says why` : "none");
}

// --- Showing -----------------------------------------------------------------------------------

function show() {
  const setup = setups.value || undefined;
  const concurrency = concurrencies.value ? Number(concurrencies.value) : null;
  const charts = chartsOf(results, { setup, phase: phases.value, concurrency });
  const shown = new Set(charts.map(({ id }) => id));
  for (const [id, { root }] of figures) root.hidden = !shown.has(id);
  for (const chart of charts) {
    if (!figures.has(chart.id)) figures.set(chart.id, newFigure(chart.id));
    showChart(figures.get(chart.id), chart);
  }
  find("none").hidden = charts.length > 0;
  find("measurements").replaceChildren(measurementsTable(results, setup));
}

function newFigure(id) {
  const root = find("chart-template").content.firstElementChild.cloneNode(true);
  root.dataset.chart = id;
  find("charts").append(root);
  return newParts(root);
}

/** The parts of a figure, which is a chart's on the page or the enlarged one. */
function newParts(root) {
  const part = (name) => root.querySelector(`[data-${name}]`);
  return {
    root,
    title: part("title"),
    sentence: part("sentence"),
    legend: part("legend"),
    canvas: part("canvas"),
    table: part("table"),
    enlarge: part("enlarge"),
    drawing: new Drawing(part("canvas")),
  };
}

/** Without the library, the figures stand where the chart would. */
function showChart(parts, chart) {
  showWords(parts, chart);
  parts.canvas.hidden = parts.legend.hidden = !canDraw();
  // Safari has dialogs since 15.4.
  parts.enlarge.hidden = !canDraw() || !dialog.showModal;
  parts.table.hidden = canDraw();
  if (canDraw()) {
    parts.enlarge.onclick = () => enlarge(chart);
    parts.drawing.draw(chart, CHART_HEIGHT_PIXELS);
  } else {
    parts.table.replaceChildren(chartTable(chart));
  }
}

function showWords(parts, chart) {
  setText(parts.title, chart.title);
  setText(parts.sentence, chart.sentence);
  parts.canvas.setAttribute("aria-label", `${chart.title}. ${chart.sentence}`);
  parts.table.setAttribute("aria-label", `${chart.title}, as figures`);
  const series = chart.series.map(({ name, isThin }, index) => {
    const { look, glyph } = lookOf(chart, index);
    return legendItem(isThin ? `${glyph} ┄` : glyph, name, look);
  });
  const references = chart.references.map(({ name }, index) => legendItem(index ? "┈┈" : "╍╍", name, "reference"));
  parts.legend.replaceChildren(...series, ...references);
}

function legendItem(glyph, name, look) {
  const item = document.createElement("li");
  const mark = document.createElement("span");
  mark.dataset.look = look;
  mark.ariaHidden = "true";
  mark.textContent = glyph;
  item.append(mark, name);
  return item;
}

// --- Enlarged ----------------------------------------------------------------------------------

const dialog = page.querySelector("dialog");
const enlarged = newParts(dialog);
let enlargedChart = null;

function enlarge(chart) {
  enlargedChart = chart;
  showWords(enlarged, chart);
  enlarged.table.replaceChildren(chartTable(chart));
  // The drawing needs the width that only an open dialog has.
  dialog.showModal();
  enlarged.drawing.draw(chart, Math.round(window.innerHeight * ENLARGED_SHARE));
}

dialog.addEventListener("close", () => {
  enlargedChart = null;
  enlarged.drawing.clear();
});
find("close").addEventListener("click", () => dialog.close());

// --- Choosing ----------------------------------------------------------------------------------

for (const select of [setups, phases, concurrencies]) select.addEventListener("change", show);

files.addEventListener("change", () => {
  ownFile.value = "";
  history.replaceState(null, "", `?results=${encodeURIComponent(files.value)}`);
  open(files.value, () => readShipped(files.value));
});

ownFile.addEventListener("change", () => {
  const [file] = ownFile.files;
  if (!file) return;
  files.selectedIndex = -1;
  open(file.name, () => readOwn(file));
});

// Colours are drawn, not styled.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (!results) return;
  show();
  if (enlargedChart) enlarged.drawing.draw(enlargedChart, Math.round(window.innerHeight * ENLARGED_SHARE));
});

if (canDraw()) window.Bokeh.set_log_level("warn");
if (files.value) open(files.value, () => readShipped(files.value));
