// Scores of the served predictions: log loss and calibration error by day, and the alarms of the latest day of each metric.

import { TimeChart } from "./charts.js";
import { badge, el, panel, table } from "./dom.js";
import { number } from "./format.js";

const PLACES = 4;

/** The panels of all versions whose predictions have been scored. */
export class ScorePanels {
  constructor() {
    this.charts = [];
    this.element = el("div");
  }

  update(values) {
    this.destroy();
    this.charts = [];
    const versions = values ? Object.entries(values.versions) : [];
    this.element.replaceChildren(...(versions.length ? versions.map(([name, scores]) => this.panel(name, scores)) : []));
  }

  panel(name, { lines, latest }) {
    const alarms = latest.filter((each) => each.alarm);
    const scored = latest.find((each) => each.metric === "log_loss") ?? latest[0];
    const charts = [["log_loss", "Log loss by day"], ["ece", "Calibration error by day"]].filter(([metric]) => lines[metric]?.length).map(([metric, title]) => this.chart(title, metric, lines));
    return panel(`Served predictions of ${name}`, { wide: true, name: "scores", note: `latest day: ${scored.day}, ${number(scored.rows)} rows` },
      el("p", {}, alarms.length ? alarms.map((each) => badge(each.pages ? "bad" : "warn", `${each.metric.replaceAll("_", " ")} ${each.subject.replaceAll("_", " ")}`)) : badge("good", "no alarm")),
      el("div", { class: "grid" }, charts.map((each) => each.element)),
      el("details", { class: "values", "data-key": `scores ${name}` }, el("summary", { text: "Scores of the latest day, with the drift of the fields" }), table(`Scores of ${name}`, [
        { head: "metric", cell: (row) => row.metric.replaceAll("_", " ") }, { head: "of", cell: (row) => row.subject || "all rows" }, { head: "day", cell: (row) => row.day }, { head: "rows", class: "number", cell: (row) => number(row.rows) },
        { head: "value", class: "number", cell: (row) => row.value.toFixed(PLACES) }, { head: "at training", class: "number", cell: (row) => (row.at_training === null ? "" : row.at_training.toFixed(PLACES)) },
        { head: "alarm", cell: (row) => (row.alarm ? badge("bad", "alarm") : "") }], latest)));
  }

  chart(title, metric, lines) {
    const points = lines[metric];
    const chart = new TimeChart({ title, name: `scores-${metric}`, format: (value) => (value === null ? "–" : value.toFixed(PLACES)),
      clockText: (at) => new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" }),
      series: [{ key: "value", label: "served", colour: "blue" }, { key: "at_training", label: "at training", colour: "amber" }] });
    chart.update({ at: points.map(([day]) => Date.parse(day) / 1000), value: points.map(([, value]) => value), at_training: points.map(([, , value]) => value) });
    this.charts.push(chart);
    return chart;
  }

  redraw() {
    this.charts.forEach((each) => each.redraw());
  }

  destroy() {
    this.charts.forEach((each) => each.destroy());
  }
}
