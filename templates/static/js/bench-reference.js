// The figures of the reference: the shop with one FastAPI worker that this design follows.
// From its author, for his machine; and measured by us, beside this shop, on two cores. Where the
// author does not say how many workers it were, `workers` is null.

export const PUBLISHED = {
  name: "Reference, published by its author",
  points: [
    { phase: "reserve", workers: 1, throughput: 977, batch: 5.3, machine: "8 vCPU" },
    { phase: "reserve", workers: 2, throughput: 966, batch: 3.9, machine: "8 vCPU" },
    { phase: "reserve", workers: 3, throughput: 770, batch: 2.9, machine: "8 vCPU" },
    { phase: "checkout", workers: null, throughput: 861, machine: "8 vCPU" },
    { phase: "purchase", workers: null, throughput: 135, machine: "4 vCPU" },
  ],
};

/** Ranges over the runs of several days, wrk with 60 connections, everything on one machine. */
export const MEASURED = {
  name: "Reference, measured on 2 cores",
  concurrency: 60,
  points: [
    { phase: "reserve", workers: 1, throughput: [1240, 3675], machine: "2 cores" },
    { phase: "reserve", workers: 2, throughput: [1880, 3831], machine: "2 cores" },
    { phase: "checkout", workers: 1, throughput: [505, 1452], machine: "2 cores" },
    { phase: "checkout", workers: 2, throughput: [840, 1689], machine: "2 cores" },
    { phase: "webhook", workers: 1, throughput: [209, 550], machine: "2 cores" },
    { phase: "webhook", workers: 2, throughput: [304, 604], machine: "2 cores" },
  ],
};

/** The throughput of a phase with so many workers, or null; a range where there are several. */
export function referenceThroughput({ points }, phase, workers) {
  const point = points.find((p) => p.phase === phase && (p.workers === workers || p.workers === null));
  return point?.throughput ?? null;
}

/** The fastest point of a phase, whatever the workers, or null. */
export function fastestReference({ points }, phase) {
  const high = ({ throughput }) => [throughput].flat().slice(-1)[0];
  return points.filter((point) => point.phase === phase).sort((a, b) => high(b) - high(a))[0] ?? null;
}
