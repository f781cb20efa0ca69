// Small charts of the last minutes: a line for each series, drawn as SVG paths by hand. The numbers
// beside them say the same, and the label says it to those who do not see the line.

import { setText } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
// The plot's own units, as in its viewBox: the lines keep their width however it is stretched.
const WIDTH = 300;
const HEIGHT = 80;
const MARGIN = 3;
// A second alone has one batch or none: its mean with those before it is what one can read.
const MEAN_SECONDS = 5;

const small = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const large = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 0.4, 12.5, 1,234: as many digits as one reads at a glance. */
export function figure(value) {
  return (value < 100 ? small : large).format(value);
}

export class Chart {
  /** `root` is a figure with an empty `data-plot`, and a `data-now` for each series. */
  constructor(root) {
    this.title = root.querySelector("h3").textContent;
    this.plot = root.querySelector("[data-plot]");
    this.peak = root.querySelector("[data-peak]");
    this.series = [...root.querySelectorAll("[data-now]")].map((now) => ({
      name: now.dataset.now,
      words: now.nextSibling.textContent.trim(),
      now,
      area: this.path(now.dataset.now, "chart-area"),
      line: this.path(now.dataset.now, "chart-line"),
    }));
  }

  path(series, cssClass) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", cssClass);
    path.dataset.series = series;
    path.setAttribute("vector-effect", "non-scaling-stroke");
    return this.plot.appendChild(path);
  }

  /** `samples` has a column of numbers, or null, for each series; the last one is now. */
  show(samples, samplesMax) {
    const columns = this.series.map(({ name }) => means(samples[name]));
    const peak = Math.max(0, ...columns.flat());
    const said = this.series.map((series, i) => {
      series.line.setAttribute("d", linePath(columns[i], samplesMax, peak));
      series.area.setAttribute("d", areaPath(columns[i], samplesMax, peak));
      const now = columns[i].slice(-1)[0] ?? null;
      setText(series.now, now === null ? "–" : figure(now));
      return `${now === null ? "no" : figure(now)} ${series.words}`;
    });
    setText(this.peak, figure(peak));
    const label = `${this.title}, last five minutes: now ${said.join(", ")}; at most ${figure(peak)}.`;
    if (this.plot.getAttribute("aria-label") !== label) this.plot.setAttribute("aria-label", label);
  }
}

/** The mean of a column's last seconds; null where there was nothing in them. */
export function latest(column, seconds) {
  const recent = column.slice(-seconds).filter((value) => value !== null);
  return recent.length > 0 ? recent.reduce((sum, value) => sum + value, 0) / recent.length : null;
}

/** Each of a column's seconds with those before it. */
function means(column) {
  return column.map((_, i) => latest(column.slice(Math.max(0, i + 1 - MEAN_SECONDS), i + 1), MEAN_SECONDS));
}

/** The stretches of a column without gaps, as points of the plot. */
function stretches(column, samplesMax, peak) {
  const step = WIDTH / (samplesMax - 1);
  const start = WIDTH - step * (column.length - 1);
  const found = [];
  let open = null;
  column.forEach((value, i) => {
    if (value === null) {
      open = null;
      return;
    }
    if (!open) found.push((open = []));
    const height = peak > 0 ? (value / peak) * (HEIGHT - 2 * MARGIN) : 0;
    open.push([start + step * i, HEIGHT - MARGIN - height]);
  });
  return found;
}

const point = ([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`;

function linePath(column, samplesMax, peak) {
  // A lone second is a dot: a line to where it began, with round ends.
  return stretches(column, samplesMax, peak)
    .map((points) => `M${(points.length > 1 ? points : [points[0], points[0]]).map(point).join("L")}`)
    .join("");
}

function areaPath(column, samplesMax, peak) {
  return stretches(column, samplesMax, peak)
    .map((points) => {
      const [first, last] = [points[0][0].toFixed(1), points.slice(-1)[0][0].toFixed(1)];
      return `M${first} ${HEIGHT}L${points.map(point).join("L")}L${last} ${HEIGHT}Z`;
    })
    .join("");
}
