// What a file of results says: its rows as measurements, repeats of one measurement merged.

import { parseCsv } from "./bench-csv.js";
import { count } from "./format.js";

export const ROWS_MAX = 20_000;

const YARDSTICK = "yardstick";
// Rows of no ledger: the yardstick's, and those of a shop that never started.
const NO_LEDGERS = new Set(["", "none", "unknown"]);
const FIRST_PHASES = ["reserve", "commit", "checkout", "webhook", "status", "purchase"];
const TYPICAL_CONCURRENCY = 60;

/** The text is not what `python -m bench` writes; the message is a sentence for the reader. */
export class ResultsError extends Error {}

/** The results in CSV text. Only `phase` and `throughput` must be there; other columns may lack. */
export function readResults(text) {
  let rows;
  try {
    rows = parseCsv(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new ResultsError(`This is not a CSV file: ${error.message}`);
    throw error;
  }
  if (rows.length === 0) throw new ResultsError("There is no measurement in this file yet.");
  if (rows.length > ROWS_MAX) throw new ResultsError(`A file may have ${count(ROWS_MAX)} rows, not ${count(rows.length)}.`);
  if (!("phase" in rows[0] && "throughput" in rows[0])) {
    throw new ResultsError("These are no results of python -m bench: a column phase or throughput is missing.");
  }
  return new Results(rows.map(readRow));
}

function readRow(row) {
  const workers = readNumber(row.workers);
  return {
    timestamp: row.timestamp ?? "",
    machine: row.machine ?? "",
    revision: row.git_revision ?? "",
    config: row.config || (workers === null ? "unnamed" : `workers-${workers}`),
    ledger: row.ledger ?? "",
    workers,
    concurrency: readNumber(row.concurrency),
    phase: row.phase,
    ok: readNumber(row.ok),
    errors: readNumber(row.errors) ?? 0,
    throughput: readNumber(row.throughput),
    p50: readNumber(row.p50_ms),
    p99: readNumber(row.p99_ms),
    batch: readNumber(row.average_batch),
    cpuSeconds: readPairs(row.cpu_seconds),
    stageMs: readPairs(row.stage_ms),
    failure: row.failure ?? "",
  };
}

/** What nobody measured is null, and so is what cannot be read. */
function readNumber(text) {
  const number = Number.parseFloat(text);
  return Number.isFinite(number) ? number : null;
}

/** `worker-1=2.04 sequencer=0.31` as a map. */
function readPairs(text = "") {
  const pairs = text.split(" ").map((pair) => pair.split("="));
  return new Map(pairs.map(([name, number]) => [name, readNumber(number)]).filter(([, number]) => number !== null));
}

/** Measurements of one run or several, to be chosen from by setup, phase and concurrency. */
export class Results {
  constructor(measurements) {
    this.measurements = measurements;
    this.merged = merge(measurements);
    const shop = this.merged.filter((m) => m.phase !== YARDSTICK);
    /** What is compared only with itself: machine and ledger. */
    this.setups = unique(shop.filter((m) => !NO_LEDGERS.has(m.ledger)).map(setupOf));
    this.phases = sortPhases(unique(shop.map((m) => m.phase)));
    this.concurrencies = unique(shop.map((m) => m.concurrency)).sort((a, b) => a - b);
    this.configs = sortConfigs(shop);
    this.ceilings = new Map(
      this.merged.filter((m) => m.phase === YARDSTICK).map((m) => [ceilingKey(m), m.throughput]),
    );
  }

  get failed() {
    return this.measurements.filter((m) => m.failure).length;
  }

  /** What a reader sees first: the concurrency that is meant where none is named. */
  get typicalConcurrency() {
    const { concurrencies } = this;
    if (concurrencies.includes(TYPICAL_CONCURRENCY)) return TYPICAL_CONCURRENCY;
    return concurrencies[Math.floor(concurrencies.length / 2)] ?? null;
  }

  /** All measurements of a setup but the yardstick's, in reading order. */
  ofSetup(setup) {
    const order = (m) => [this.phases.indexOf(m.phase), this.configs.findIndex((c) => c.name === m.config), m.concurrency];
    return this.merged
      .filter((m) => m.phase !== YARDSTICK && (setup === undefined || setupOf(m) === setup || isHomeless(m, setup)))
      .sort((a, b) => compareLists(order(a), order(b)));
  }

  /** The share of the machine's ceiling that was reached; null where that was not measured. */
  shareOfCeiling(measurement) {
    const ceiling = this.ceilings.get(ceilingKey(measurement));
    return ceiling && measurement.throughput !== null ? measurement.throughput / ceiling : null;
  }
}

export function setupOf({ machine, ledger }) {
  return [machine, ledger && `${ledger} ledger`].filter(Boolean).join(" · ");
}

/** A phase of a shop that did not start has no ledger to its name, but a machine. */
function isHomeless(measurement, setup) {
  return NO_LEDGERS.has(measurement.ledger) && setup.startsWith(measurement.machine);
}

function ceilingKey({ machine, config, concurrency }) {
  return JSON.stringify([machine, config, concurrency]);
}

function merge(measurements) {
  const groups = new Map();
  for (const m of measurements) {
    const key = JSON.stringify([m.machine, m.ledger, m.config, m.workers, m.concurrency, m.phase]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(m);
  }
  return [...groups.values()].map(mergeRepeats);
}

/** One measurement with the medians of its repeats; those that failed count only as failed. */
function mergeRepeats(repeats) {
  const good = repeats.filter((m) => !m.failure);
  const middle = (value) => median(good.map(value).filter((number) => number !== null));
  return {
    ...repeats[0],
    repeats: repeats.length,
    failures: repeats.map((m) => m.failure).filter(Boolean),
    errors: good.reduce((sum, m) => sum + m.errors, 0),
    throughput: middle((m) => m.throughput),
    p50: middle((m) => m.p50),
    p99: middle((m) => m.p99),
    batch: middle((m) => m.batch),
    cpuUs: mergeMaps(good.map(cpuUs), median),
    stageMs: mergeMaps(good.map((m) => m.stageMs), median),
  };
}

/** CPU µs for each request that was ok, by kind of process: all workers together are `workers`. */
function cpuUs({ cpuSeconds, ok }) {
  if (!ok) return new Map();
  const kinds = [...cpuSeconds].map(([name, seconds]) => [name.startsWith("worker-") ? "workers" : name, seconds]);
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  return mergeMaps(kinds.map(([kind, seconds]) => new Map([[kind, (seconds / ok) * 1e6]])), sum);
}

function mergeMaps(maps, combine) {
  const names = unique(maps.flatMap((map) => [...map.keys()]));
  return new Map(names.map((name) => [name, combine(maps.filter((map) => map.has(name)).map((map) => map.get(name)))]));
}

export function median(numbers) {
  if (numbers.length === 0) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * `{name, workers, words, isPlain}` of each configuration, by its count of workers. The plain ones
 * differ in nothing else and are called "4 workers"; others have a name.
 */
function sortConfigs(measurements) {
  const configs = new Map();
  for (const { config, workers } of measurements) {
    const isPlain = config === `workers-${workers}`;
    const counted = workers === 1 ? "1 worker" : `${workers} workers`;
    configs.set(config, { name: config, workers, isPlain, words: isPlain ? counted : config });
  }
  return [...configs.values()].sort((a, b) => a.workers - b.workers || a.name.localeCompare(b.name));
}

function sortPhases(phases) {
  const known = FIRST_PHASES.filter((phase) => phases.includes(phase));
  return [...known, ...phases.filter((phase) => !known.includes(phase))];
}

export function unique(values) {
  return [...new Set(values)];
}

function compareLists(a, b) {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at < 0 ? 0 : a[at] - b[at];
}
