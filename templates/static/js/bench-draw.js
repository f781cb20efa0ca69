// Draws charts with Bokeh, whose script an installed package brings; without it there are none.
//
// Colours come from the stylesheet, so that both colour schemes have their own; a line has a marker
// as well, for readers to whom colours look alike.

import { figure } from "./bench-charts.js";

const LOOKS = 6;
const MARKERS = ["circle", "square", "triangle", "diamond", "inverted_triangle", "hex"];
/** The same as text, for the legend. */
const GLYPHS = ["●", "■", "▲", "◆", "▼", "⬢"];
const BAR_GLYPH = "■";
/** About what a letter below an axis takes, with the room between two labels. */
const LABEL_CHARACTER_PIXELS = 9;
/** What the other axis and its label take beside the categories. */
const Y_AXIS_PIXELS = 75;
/** Of the width of a category, what its bars take. */
const GROUP_WIDTH = 0.8;
const THIN_DASH = "dotted";
const REFERENCE_LINES = [
  { line_dash: "dashed", line_width: 3 },
  { line_dash: "dotted", line_width: 1.5 },
];

export function canDraw() {
  return window.Bokeh?.Plotting !== undefined;
}

/** Which colour a series has, and the mark that stands for it in the legend. */
export function lookOf(chart, index) {
  const look = (chart.series[index].look ?? index) % LOOKS;
  return { look, glyph: chart.kind === "lines" ? GLYPHS[look] : BAR_GLYPH };
}

/** One chart at a time, drawn into an element. */
export class Drawing {
  constructor(element) {
    this.element = element;
    this.view = null;
    this.latest = null;
  }

  async draw(chart, heightPixels) {
    this.latest = chart;
    const { element } = this;
    const plot = build(chart, element.clientWidth, heightPixels, palette(element));
    const view = await window.Bokeh.Plotting.show(plot, element);
    // Two may have been asked for at once: whoever asked last has the place.
    if (this.latest !== chart) {
      view.remove();
      return;
    }
    this.view?.remove();
    this.view = view;
  }

  clear() {
    this.latest = null;
    this.view?.remove();
    this.view = null;
  }
}

function palette(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ink: colour("--ink"),
    muted: colour("--muted"),
    line: colour("--line"),
    font: style.fontFamily,
    series: Array.from({ length: LOOKS }, (_, look) => colour(`--series-${look}`)),
  };
}

function build(chart, width, height, colours) {
  const { Plotting, Range1d } = window.Bokeh;
  const plot = Plotting.figure({
    x_range: chart.categories,
    y_range: new Range1d({ start: 0, end: top(chart) }),
    height,
    sizing_mode: "stretch_width",
    tools: [],
    toolbar_location: null,
  });
  dress(plot, chart, colours, width);
  const add = { lines: addLines, bars: addBars, stack: addStack }[chart.kind];
  const renderers = add(plot, chart, colours);
  for (const [index, reference] of chart.references.entries()) {
    renderers.push(...addReference(plot, chart, reference, index, colours));
  }
  plot.add_tools(new window.Bokeh.HoverTool({ renderers, tooltips: tooltip }));
  return plot;
}

/** What a point says. As elements: Bokeh's own templates are markup, which the policy forbids. */
function tooltip({ data }, { index }) {
  const element = document.createElement("div");
  element.append(
    ...["name", "category", "words"].map((column) => {
      const line = document.createElement("div");
      line.textContent = data[column][index];
      return line;
    }),
  );
  return element;
}

/** A tenth above the highest value. */
function top({ kind, categories, series, references }) {
  const at = (column) => series.map(({ values }) => values[column] ?? 0);
  const highest = categories.map((_, column) =>
    kind === "stack" ? at(column).reduce((a, b) => a + b, 0) : Math.max(...at(column), 0),
  );
  const marked = references.flatMap(({ values }) => values.flat()).filter((value) => value !== null);
  return 1.1 * Math.max(...highest, ...marked) || 1;
}

function dress(plot, chart, colours, plotWidth) {
  Object.assign(plot, { background_fill_color: null, border_fill_color: null, outline_line_color: null });
  plot.min_border_right = 12;
  const [xAxis, yAxis] = [...plot.xaxes, ...plot.yaxes];
  for (const axis of [xAxis, yAxis]) {
    Object.assign(axis, {
      axis_label_text_color: colours.muted,
      axis_label_text_font: colours.font,
      axis_label_text_font_size: "14px",
      axis_label_text_font_style: "normal",
      axis_line_color: colours.line,
      major_label_text_color: colours.ink,
      major_label_text_font: colours.font,
      major_label_text_font_size: "14px",
      major_tick_line_color: null,
      minor_tick_line_color: null,
    });
  }
  xAxis.axis_label = chart.xTitle || null;
  const longest = Math.max(...chart.categories.map((category) => category.length));
  const isCrowded = longest * LABEL_CHARACTER_PIXELS > (plotWidth - Y_AXIS_PIXELS) / chart.categories.length;
  if (isCrowded) xAxis.major_label_orientation = Math.PI / 4;
  yAxis.axis_label = chart.unit;
  yAxis.formatter = new window.Bokeh.NumeralTickFormatter({ format: "0,0.[0]" });
  for (const grid of plot.xgrids) grid.grid_line_color = null;
  for (const grid of plot.ygrids) grid.grid_line_color = colours.line;
}

/** The points of a series as columns; what nobody measured is left out. */
function columns({ name, values }, { categories, unit }, x = (category) => category) {
  const measured = categories.map((_, column) => column).filter((column) => values[column] !== null);
  return {
    x: measured.map((column) => x(categories[column])),
    y: measured.map((column) => values[column]),
    name: measured.map(() => name),
    category: measured.map((column) => categories[column]),
    words: measured.map((column) => `${figure(values[column])} ${unit}`),
  };
}

function field(name) {
  return { field: name };
}

function source(data) {
  return new window.Bokeh.ColumnDataSource({ data });
}

function addLines(plot, chart, colours) {
  return chart.series.map((series, index) => {
    const { look } = lookOf(chart, index);
    const data = source(columns(series, chart));
    const colour = colours.series[look];
    const line_dash = series.isThin ? THIN_DASH : "solid";
    plot.line({ x: field("x"), y: field("y"), source: data, line_color: colour, line_width: 2, line_dash });
    return plot.scatter({
      x: field("x"),
      y: field("y"),
      source: data,
      marker: MARKERS[look],
      size: 10,
      fill_color: series.isThin ? null : colour,
      line_color: colour,
    });
  });
}

function addBars(plot, chart, colours) {
  const width = GROUP_WIDTH / chart.series.length;
  return chart.series.map((series, index) => {
    // A category's middle is its zero.
    const offset = (index + 0.5) * width - GROUP_WIDTH / 2;
    const data = source(columns(series, chart, (category) => [category, offset]));
    const fill_color = colours.series[lookOf(chart, index).look];
    return plot.vbar({
      x: field("x"),
      width: width * 0.92,
      top: field("y"),
      bottom: 0,
      source: data,
      fill_color,
      line_color: null,
    });
  });
}

function addStack(plot, chart, colours) {
  const bottoms = chart.categories.map(() => 0);
  return chart.series.map((series, index) => {
    const data = columns(series, chart);
    const at = data.category.map((category) => chart.categories.indexOf(category));
    data.bottom = at.map((column) => bottoms[column]);
    data.top = at.map((column) => (bottoms[column] += series.values[column]));
    const fill_color = colours.series[lookOf(chart, index).look];
    return plot.vbar({
      x: field("x"),
      width: GROUP_WIDTH * 0.75,
      top: field("top"),
      bottom: field("bottom"),
      source: source(data),
      fill_color,
      line_color: null,
    });
  });
}

/** A marked line across each category that the reference has a figure for; two for a range. */
function addReference(plot, chart, reference, index, colours) {
  const edges = [0, -1].map((end) => ({
    ...reference,
    values: reference.values.map((value) => (value === null ? null : [value].flat().slice(end)[0])),
  }));
  const isRange = reference.values.some((value) => Array.isArray(value));
  return (isRange ? edges : edges.slice(0, 1)).map((edge) => {
    const data = columns(edge, chart);
    data.left = data.category.map((category) => [category, -0.5]);
    data.right = data.category.map((category) => [category, 0.5]);
    return plot.segment({
      x0: field("left"),
      y0: field("y"),
      x1: field("right"),
      y1: field("y"),
      source: source(data),
      line_color: colours.ink,
      ...REFERENCE_LINES[index % REFERENCE_LINES.length],
    });
  });
}
