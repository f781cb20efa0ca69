// The charts of one selection: what each shows, and the sentence that says what it means. Pure: from
// results to plain objects, which `bench-draw.js` draws and `bench-table.js` writes down.
//
// A chart: `{id, title, sentence, kind, xTitle, unit, categories, series, references}`; `kind` is
// "bars", "lines" or "stack"; each series has a name and a value (or null) for each category; so
// has each reference, whose values may be ranges `[low, high]`.

import { MEASURED, PUBLISHED, fastestReference, referenceThroughput } from "./bench-reference.js";

const PHASE_WORDS = {
  reserve: "Reserve",
  commit: "Commit",
  checkout: "Checkout",
  webhook: "Webhook",
  status: "Order status",
  purchase: "Whole purchase",
};
/** What one of each phase is, to count it in a sentence. */
const PHASE_NOUNS = {
  reserve: "reservation",
  commit: "commit",
  checkout: "checkout",
  webhook: "webhook",
  status: "order status",
  purchase: "whole purchase",
};

/** What a stage waits for. */
const STORE_WORDS = { ledger: "the ledger", session: "Redis", order: "PostgreSQL" };

/** It uses the same machine, but it is not the shop. */
const LOAD_GENERATOR = "client";

/** Less of a difference is called none. */
const NOTICEABLE = 0.03;

const PER_SECOND = "per second";
const TRANSFERS = "transfers";
const MILLISECONDS = "ms";
const MICROSECONDS = "µs";

function storeWords(stage) {
  return STORE_WORDS[stage] ?? stage;
}

export function phaseWords(phase) {
  return PHASE_WORDS[phase] ?? phase;
}

/** As many digits as mean something. */
export function figure(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(figure).join("–");
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** The charts there is data for. */
export function chartsOf(results, { setup, phase, concurrency }) {
  const measured = results.ofSetup(setup).filter((m) => m.throughput !== null);
  const of = (wanted) => measured.filter((m) => Object.entries(wanted).every(([name, value]) => m[name] === value));
  const scene = { results, phase, concurrency, of, noun: PHASE_NOUNS[phase] ?? phase };
  const build = [overview, byWorkers, byConcurrency, batches, latencies, cpu, stages];
  return build
    .map((chart) => chart(scene))
    .filter((chart) => chart.series.some(({ values }) => values.some((value) => value !== null)));
}

function overview({ results, concurrency, of }) {
  const phases = results.phases;
  const series = results.configs.map(({ name, words }) => ({
    name: words,
    values: phases.map((phase) => valueOf(of({ phase, concurrency, config: name }), "throughput")),
  }));
  const headline = phases.includes("purchase") ? "purchase" : phases[0];
  const best = fastest(of({ phase: headline, concurrency }));
  return {
    id: "overview",
    title: "Every operation",
    sentence: best
      ? `With ${connections(concurrency)}, the shop does ${figure(best.throughput)} ${plural(PHASE_NOUNS[headline] ?? headline)}`
        + ` a second (${configOf(results, best)}).${publishedWords(headline)}`
      : "",
    kind: "bars",
    xTitle: "",
    unit: PER_SECOND,
    categories: phases.map(phaseWords),
    series,
    references: throughputReferences((source) => phases.map((phase) => fastestReference(source, phase)?.throughput ?? null), concurrency),
  };
}

function byWorkers({ results, phase, concurrency, of, noun }) {
  const chart = workersChart(results, of, phase, "throughput");
  const measured = of({ phase, concurrency });
  const [few, many] = ends(measured);
  // More workers than cores only take turns: what a reader asks is how many sell the most.
  const best = fastest(measured.filter(({ workers }) => workers !== null));
  return {
    ...chart,
    id: "workers",
    title: `${phaseWords(phase)}: throughput by workers`,
    sentence: many
      ? mostWorkers(results, few, best, plural(noun), connections(concurrency)) + referenceTrend(phase, "throughput")
      : `A second configuration would show what more workers change.`,
    unit: PER_SECOND,
    references: throughputReferences((source) => chart.workers.map((workers) => referenceThroughput(source, phase, workers)), concurrency),
  };
}

function mostWorkers(results, few, best, nouns, connected) {
  if (best.workers === few.workers) {
    return `With ${connected}, the most ${nouns} are done with ${configOf(results, best)}: ${figure(best.throughput)} a second.`;
  }
  return `From ${configOf(results, few)} to ${configOf(results, best)}, with ${connected}, the rate of ${nouns} `
    + `${change(few.throughput, best.throughput)}: ${figure(few.throughput)} a second, then ${figure(best.throughput)}.`;
}

function byConcurrency({ results, phase, of, noun }) {
  const chart = concurrencyChart(results, of, phase, [["", "throughput"]]);
  const best = fastest(of({ phase }));
  return {
    ...chart,
    id: "concurrency",
    title: `${phaseWords(phase)}: throughput by connections`,
    sentence: best
      ? `The most ${plural(noun)} are done with ${connections(best.concurrency)} and ${configOf(results, best)}:`
        + ` ${figure(best.throughput)} a second.`
      : "",
    unit: PER_SECOND,
  };
}

function batches({ results, phase, concurrency, of }) {
  const chart = workersChart(results, of, phase, "batch");
  const [few, many] = ends(of({ phase, concurrency }).filter((m) => m.batch !== null));
  return {
    ...chart,
    id: "batches",
    title: `${phaseWords(phase)}: average batch at the ledger`,
    sentence: many
      ? `From ${configOf(results, few)} to ${configOf(results, many)} the average batch ${change(few.batch, many.batch)}:`
        + ` ${figure(few.batch)} transfers, then ${figure(many.batch)}.${referenceTrend(phase, "batch")}`
      : "The larger a batch, the less each transfer in it costs.",
    unit: TRANSFERS,
    references: [
      {
        name: PUBLISHED.name,
        values: chart.workers.map((workers) => PUBLISHED.points.find((p) => p.phase === phase && p.workers === workers)?.batch ?? null),
      },
    ].filter(hasValues),
  };
}

function latencies({ results, phase, concurrency, of, noun }) {
  const chart = concurrencyChart(results, of, phase, [[", 99 of 100", "p99"], [", half", "p50"]]);
  const best = fastest(of({ phase, concurrency }).filter((m) => m.p50 !== null && m.p99 !== null));
  return {
    ...chart,
    id: "latency",
    title: `${phaseWords(phase)}: latency`,
    sentence: best
      ? `With ${connections(concurrency)} and ${configOf(results, best)}, half of all ${plural(noun)} are answered within`
        + ` ${figure(best.p50)} ms, and 99 of 100 within ${figure(best.p99)} ms.`
      : "How long half of all, and 99 of 100, take at most.",
    unit: MILLISECONDS,
  };
}

function cpu({ results, phase, concurrency, of, noun }) {
  const chart = stackedChart(results, of({ phase, concurrency }), "cpuUs");
  chart.series = chart.series.filter(({ name }) => name !== LOAD_GENERATOR);
  const best = fastest(of({ phase, concurrency }).filter((m) => m.cpuUs.size > 0));
  const used = best && [...best.cpuUs].reduce((sum, [kind, us]) => sum + (kind === LOAD_GENERATOR ? 0 : us), 0);
  const shares = best && ["workers", "sequencer"].filter((kind) => best.cpuUs.has(kind));
  return {
    ...chart,
    id: "cpu",
    title: `${phaseWords(phase)}: CPU by process`,
    sentence: best
      ? `With ${configOf(results, best)}, one ${noun} costs ${figure(used)} µs of CPU in all of the shop's processes`
        + `${shares.map((kind) => `, ${figure(best.cpuUs.get(kind))} of them in the ${kind}`).join("")}.`
      : "",
    unit: MICROSECONDS,
  };
}

function stages({ results, phase, concurrency, of, noun }) {
  const chart = stackedChart(results, of({ phase, concurrency }), "stageMs");
  chart.series = chart.series.map((series) => ({ ...series, name: storeWords(series.name) }));
  const best = fastest(of({ phase, concurrency }).filter((m) => m.stageMs.size > 0));
  const [slowest, ms] = best ? [...best.stageMs].sort((a, b) => b[1] - a[1])[0] : [];
  return {
    ...chart,
    kind: "bars",
    id: "stages",
    title: `${phaseWords(phase)}: time at each store`,
    sentence: best
      ? `With ${configOf(results, best)}, a ${noun} waits longest for ${storeWords(slowest)}: ${figure(ms)} ms on average each time.`
      : "",
    unit: MILLISECONDS,
  };
}

/** A line for each concurrency over configurations, and over the reference's counts of workers. */
function workersChart(results, of, phase, value) {
  const places = results.configs.map(({ name, ...config }) => ({ ...config, config: name }));
  for (const { phase: other, workers } of PUBLISHED.points) {
    if (other !== phase || workers === null || places.some((place) => place.workers === workers)) continue;
    const at = places.findIndex((place) => place.workers > workers);
    places.splice(at < 0 ? places.length : at, 0, { config: null, workers, words: `${workers} workers`, isPlain: true });
  }
  return {
    kind: "lines",
    ...configAxis(places),
    workers: places.map(({ workers }) => workers),
    series: results.concurrencies.map((concurrency) => ({
      name: connections(concurrency),
      values: places.map(({ config }) => (config === null ? null : valueOf(of({ phase, concurrency, config }), value))),
    })),
    references: [],
  };
}

/** A line for each configuration, and for each `[suffix, value]`, over concurrencies. */
function concurrencyChart(results, of, phase, values) {
  return {
    kind: "lines",
    xTitle: "Connections at a time",
    categories: results.concurrencies.map((concurrency) => String(concurrency ?? "unknown")),
    series: values.flatMap(([suffix, value], variant) =>
      results.configs.map(({ name, words }, look) => ({
        name: words + suffix,
        look,
        isThin: variant > 0,
        values: results.concurrencies.map((concurrency) => valueOf(of({ phase, concurrency, config: name }), value)),
      })),
    ),
    references: [],
  };
}

/** Configurations as categories: counts where they differ in nothing else, which fit on a phone. */
function configAxis(configs) {
  return configs.every(({ isPlain }) => isPlain)
    ? { xTitle: "HTTP workers", categories: configs.map(({ workers }) => String(workers)) }
    : { xTitle: "Configuration", categories: configs.map(({ words }) => words) };
}

/** A series for each name in the measurements' map `value`, over configurations. */
function stackedChart(results, measured, value) {
  const names = [...new Set(measured.flatMap((m) => [...m[value].keys()]))];
  return {
    kind: "stack",
    ...configAxis(results.configs),
    series: names.map((name) => ({
      name,
      values: results.configs.map((config) => measured.find((m) => m.config === config.name)?.[value].get(name) ?? null),
    })),
    references: [],
  };
}

/** The reference's lines; what we measured of it holds for one concurrency only. */
function throughputReferences(valuesOf, concurrency) {
  const sources = concurrency === MEASURED.concurrency ? [PUBLISHED, MEASURED] : [PUBLISHED];
  return sources.map((source) => ({ name: source.name, values: valuesOf(source) })).filter(hasValues);
}

function hasValues({ values }) {
  return values.some((value) => value !== null);
}

function valueOf([measurement], value) {
  return measurement?.[value] ?? null;
}

function fastest(measured) {
  return [...measured].sort((a, b) => b.throughput - a.throughput)[0];
}

/** The configurations with the fewest and the most workers; nothing where there is only one. */
function ends(measured) {
  const sorted = measured.filter((m) => m.workers !== null).sort((a, b) => a.workers - b.workers);
  const [few, many] = [sorted[0], sorted.slice(-1)[0]];
  return many && many.workers > few.workers ? [few, many] : [];
}

function configOf(results, measurement) {
  return results.configs.find(({ name }) => name === measurement.config).words;
}

function connections(concurrency) {
  if (concurrency === null) return "unknown connections";
  return concurrency === 1 ? "1 connection" : `${concurrency} connections`;
}

function plural(noun) {
  return noun.endsWith("s") ? `${noun}es` : `${noun}s`;
}

function change(before, after) {
  const ratio = after / before;
  if (ratio > 1 + NOTICEABLE) return `grows ${times(ratio)}`;
  if (ratio < 1 - NOTICEABLE) return `falls to ${Math.round(100 * ratio)} %`;
  return "stays as it is";
}

function times(ratio) {
  return ratio >= 2 ? `${figure(ratio)}-fold` : `by ${Math.round(100 * (ratio - 1))} %`;
}

function publishedWords(phase) {
  const point = fastestReference(PUBLISHED, phase);
  return point ? ` The reference's author published ${figure(point.throughput)} (${point.machine}).` : "";
}

/** How the reference's published figures change with its workers. */
function referenceTrend(phase, value) {
  const points = PUBLISHED.points.filter((p) => p.phase === phase && p.workers !== null && p[value] !== undefined);
  const [few, many] = [points[0], points.slice(-1)[0]];
  if (!few || few === many) return "";
  return ` The reference's author published ${figure(few[value])} with ${few.workers} worker and ${figure(many[value])} with ${many.workers}.`;
}
