// Charts over time: uPlot draws them, and each has a table of its values beside it.

import { el, svg, table } from "./dom.js";

const HEIGHT = 190;
const TABLE_ROWS = 20;

/** Returns the value of a colour of the theme. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A chart of columns over time. `series` are {key, label, colour}; `format` makes the text of a value. */
export class TimeChart {
  constructor({ title, series, format, name, clockText }) {
    Object.assign(this, { title, series, format, clockText });
    this.plot = null;
    this.columns = null;
    this.box = el("div", { class: "plot", role: "img" });
    this.values = el("details", { class: "values" }, el("summary", { text: "Values as a table" }));
    this.values.addEventListener("toggle", () => this.fillTable());
    this.legend = el("p", { class: "legend" });
    this.element = el("figure", { class: "chart", "data-chart": name },
      el("figcaption", { text: title }), this.legend, this.box, this.values);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.box);
  }

  /** Draws columns by key; `at` are seconds since 1970. */
  update(columns) {
    this.columns = columns;
    const data = [columns.at, ...this.series.map((each) => columns[each.key])];
    if (this.plot) this.plot.setData(data);
    else if (this.box.clientWidth) this.draw(data);
    this.describe();
    this.fillTable();
  }

  draw(data) {
    const axis = { stroke: colour("text-quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "12px system-ui" };
    this.plot = new uPlot({
      width: this.box.clientWidth,
      height: HEIGHT,
      padding: [10, 28, 0, 0],
      cursor: { y: false, drag: { x: false, y: false } },
      legend: { show: false },
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, space: 70, values: (_, splits) => splits.map((at) => this.clockText(at)) },
        { ...axis, size: 62, space: 36, values: (_, splits) => splits.map((value) => this.format(value)) },
      ],
      series: [{}, ...this.series.map((each, at) => ({
        label: each.label, stroke: colour(each.colour), width: 2, spanGaps: false, points: { show: false }, dash: [[], [7, 4], [2, 3]][at] ?? [],
        fill: each.isFilled ? `${colour(each.colour)}22` : undefined,
      }))],
      hooks: { setCursor: [(plot) => this.describe(plot.cursor.idx)] },
    }, data, this.box);
  }

  /** Draws again with the colours of the present theme. */
  redraw() {
    if (this.plot) {
      this.plot.destroy();
      this.plot = null;
      this.update(this.columns);
    }
  }

  resize() {
    const width = this.box.clientWidth;
    if (!width || !this.columns) return;
    if (this.plot) {
      if (this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT });
    } else this.update(this.columns);
  }

  /** Writes the legend with the values under the cursor, else the last ones. */
  describe(at = null) {
    const last = this.columns.at.length - 1;
    const index = at ?? last;
    const texts = this.series.map((each) => [each, this.format(this.columns[each.key][index] ?? null)]);
    this.legend.replaceChildren(...texts.map(([each, text], order) =>
      el("span", {}, mark(each.colour, order), `${each.label} `, el("b", { text }))),
      el("span", { class: "quiet", text: last < 0 ? "no values yet" : this.clockText(this.columns.at[index]) }));
    if (at === null) this.box.setAttribute("aria-label", `${this.title}; last values: ${texts.map(([each, text]) => `${each.label} ${text}`).join(", ")}`);
  }

  fillTable() {
    if (!this.values.open || !this.columns) return;
    const size = this.columns.at.length;
    const step = Math.max(1, Math.ceil(size / TABLE_ROWS));
    const rows = [];
    for (let at = size - 1; at >= 0; at -= step) rows.push(at);
    const columns = [{ head: "time", cell: (at) => this.clockText(this.columns.at[at]) },
      ...this.series.map((each) => ({ head: each.label, class: "number", cell: (at) => this.format(this.columns[each.key][at] ?? null) }))];
    this.values.replaceChildren(this.values.firstChild, table(`${this.title}, values`, columns, rows, "no values yet"));
  }

  destroy() {
    this.observer.disconnect();
    if (this.plot) this.plot.destroy();
  }
}

/** Returns the line of a series for a legend. */
function mark(name, order) {
  return svg("svg", { class: `mark ${name}`, viewBox: "0 0 20 8", width: 20, height: 8, "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 20, y1: 4, y2: 4, "stroke-width": 3, "stroke-dasharray": ["none", "7 4", "2 3"][order] ?? "none" }));
}

/** Returns bars with labels: `bars` are {label, value, text}. */
export function barChart(title, bars, name) {
  const most = Math.max(...bars.map((bar) => bar.value), 1e-9);
  const rows = bars.map((bar) => {
    const fill = el("span", { class: "bar-fill" });
    fill.style.width = `${Math.max((100 * bar.value) / most, 0.5)}%`;
    return el("tr", {}, el("th", { scope: "row", text: bar.label }), el("td", { class: "bar" }, fill), el("td", { class: "number", text: bar.text }));
  });
  return el("table", { class: "bars", "data-chart": name }, el("caption", { class: "hidden", text: title }), el("tbody", {}, rows));
}
