// The view "history": what the servers of the database did, over days and weeks.

import { TimeChart } from "./charts.js";
import { el } from "./dom.js";
import { duration, number } from "./format.js";
import { readState } from "./read_state.js";

const RANGES = { 1: "a day", 7: "a week", 30: "a month", 90: "three months" };

export class HistoryView {
  static key = "history";
  static title = "History";
  seconds = 30;

  constructor(requestNow) {
    this.days = 1;
    const choices = Object.entries(RANGES).map(([days, name]) => el("label", {},
      el("input", { type: "radio", name: "days", value: days, checked: Number(days) === this.days, onchange: () => {
        this.days = Number(days);
        requestNow();
      } }), ` ${name}`));
    this.read = el("div");
    const chart = (options) => new TimeChart({ clockText: (at) => this.timeText(at), ...options });
    this.charts = [
      chart({ title: "Calls per second", name: "history-calls", format: number, series: [{ key: "calls", label: "calls", colour: "blue", isFilled: true }, { key: "rows", label: "instances", colour: "teal" }] }),
      chart({ title: "Latency of unary calls", name: "history-latency", format: duration, series: [
        { key: "p50", label: "median", colour: "blue" }, { key: "p95", label: "95th percentile", colour: "amber" }, { key: "p99", label: "99th percentile", colour: "red" }] }),
      chart({ title: "Errors per second", name: "history-errors", format: number, series: [
        { key: "server_errors", label: "of the server", colour: "red" }, { key: "caller_errors", label: "of callers", colour: "amber" }] }),
      chart({ title: "Wait in the queue", name: "history-queue", format: duration, series: [{ key: "queue_p95", label: "95th percentile", colour: "blue" }] }),
    ];
    this.element = el("div", {}, this.read, el("fieldset", { class: "choices" }, el("legend", { text: "Range" }), choices),
      el("div", { class: "grid" }, this.charts.map((each) => el("section", { class: "panel" }, each.element))));
  }

  path() {
    return `/api/v1/history?days=${this.days}`;
  }

  update({ read, values, recent }) {
    const columns = joined(values, recent);
    this.read.replaceChildren(readState(read, "The database"), ...(values ? [el("p", { class: "quiet note", "data-panel": "history", text: `${values.servers.length === 1 ? "of the server" : `the sum of ${values.servers.length} servers:`} ${values.servers.join(", ") || "none yet"}; one point per ${Math.round(values.seconds / 60)} minutes` })] :
      [el("p", { class: "quiet note", "data-panel": "history", text: "Below is what this server remembers, at most one day." })]));
    this.charts.forEach((each) => each.update(columns));
  }

  timeText(at) {
    const date = new Date(at * 1000);
    if (this.days > 1) return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  }

  redraw() {
    this.charts.forEach((each) => each.redraw());
  }

  destroy() {
    this.charts.forEach((each) => each.destroy());
  }
}

/** Returns the stored columns, and after them what this server has not stored yet, unless there are other servers. */
function joined(values, recent) {
  if (!values || !values.points.at.length) return recent;
  if (values.servers.length > 1) return values.points;
  const last = values.points.at.at(-1);
  const from = recent.at.findIndex((at) => at > last);
  if (from < 0) return values.points;
  return Object.fromEntries(Object.entries(values.points).map(([name, column]) => [name, [...column, ...recent[name].slice(from)]]));
}
