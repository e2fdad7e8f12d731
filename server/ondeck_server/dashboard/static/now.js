// The view "now": traffic, latency, errors, queue, versions and workers of the last minutes.

import { TimeChart, barChart } from "./charts.js";
import { badge, el, panel, replace, table } from "./dom.js";
import { age, clock, count, duration, number, percent } from "./format.js";

const PHASES = { listening: "good", starting: "idle", ready: "idle", activating: "idle", retiring: "idle" };
const STATES = { loaded: "good", loading: "idle", refused: "bad", "set aside": "warn" };
const LATE_HEARTBEAT_SECONDS = 1.5;

export class NowView {
  static key = "now";
  static title = "Now";
  seconds = 3;

  constructor() {
    this.figures = el("dl", { class: "figures", "data-panel": "figures" });
    const chart = (options) => new TimeChart({ clockText: clock, ...options });
    this.charts = [
      chart({ title: "Calls per second", name: "traffic", format: number, series: [{ key: "calls", label: "calls", colour: "blue", isFilled: true }] }),
      chart({ title: "Latency of unary calls", name: "latency", format: duration, series: [
        { key: "p50", label: "median", colour: "blue" }, { key: "p95", label: "95th percentile", colour: "amber" }, { key: "p99", label: "99th percentile", colour: "red" }] }),
      chart({ title: "Errors per second", name: "errors", format: number, series: [
        { key: "server_errors", label: "of the server", colour: "red" }, { key: "caller_errors", label: "of callers", colour: "amber" }] }),
      chart({ title: "Wait in the queue", name: "queue", format: duration, series: [
        { key: "queue_p50", label: "median", colour: "blue" }, { key: "queue_p95", label: "95th percentile", colour: "amber" }] }),
    ];
    this.problems = el("div", { class: "problems", "aria-live": "polite" });
    this.details = el("div", { class: "grid" });
    this.element = el("div", {}, this.problems, this.figures,
      el("div", { class: "grid" }, this.charts.map((each) => el("section", { class: "panel" }, each.element))), this.details);
  }

  path() {
    return "/api/v1/now";
  }

  update(values) {
    const traffic = values.traffic;
    const points = traffic && traffic.points.at ? traffic.points : null;
    this.showProblems([...values.server.unready, ...values.server.degraded]);
    this.showFigures(values, points);
    if (points) this.charts.forEach((each) => each.update(points));
    replace(this.details, this.versions(values), this.workers(values), ...(traffic ? [this.latency(traffic), this.statuses(traffic), this.methods(traffic)] : []));
  }

  showProblems(problems) {
    const text = problems.join("\n");
    if (text === this.problemText) return;
    this.problemText = text;
    this.problems.replaceChildren(...(problems.length ? [el("ul", {}, problems.map((each) => el("li", {}, badge("warn", each))))] : []));
  }

  showFigures(values, points) {
    const last = (key) => (points ? points[key].at(-1) : null);
    const errors = points && last("calls") ? last("server_errors") / last("calls") : points ? 0 : null;
    const listening = values.workers.filter((each) => each.phase === "listening").length;
    const shown = [
      ["calls per second", number(last("calls"))],
      ["instances per second", number(last("rows"))],
      ["median latency", duration(last("p50"))],
      ["99th percentile", duration(last("p99"))],
      ["server errors", percent(errors)],
      ["calls in flight", number(last("in_flight"))],
      ["workers", `${listening} of ${number(values.workers_desired)}`],
      ["versions loaded", number(values.versions.filter((each) => each.state === "loaded").length)],
    ];
    this.figures.replaceChildren(...shown.map(([name, text]) => el("div", {}, el("dt", { text: name }), el("dd", { text }))));
  }

  versions(values) {
    const rows = Object.fromEntries(values.rows.map((each) => [`${each.model} ${each.version}`, each.rows]));
    return panel("Versions", { wide: true, name: "versions" }, table("Versions of the models", [
      { head: "version", cell: (row) => (row.version === null ? row.model : `${row.model} ${row.version}`) },
      { head: "state", cell: (row) => badge(STATES[row.state] ?? "warn", row.state === "loading" ? `${row.loaded_in} of ${row.workers} workers` : row.state) },
      { head: "aliases", cell: (row) => el("span", {}, row.aliases.map((each) => el("span", { class: "tag", text: each })), row.pending_aliases.map((each) => el("span", { class: "tag pending", text: `${each}, not yet` }))) },
      { head: "instances", class: "number", cell: (row) => number(rows[`${row.model} ${row.version}`] ?? 0) },
      { head: "reason", class: "text", cell: (row) => row.reason },
    ], values.versions, "no version is loaded"));
  }

  workers(values) {
    const tiles = values.workers.map((each) => {
      const isLate = each.phase === "listening" && each.heartbeat_age_seconds > LATE_HEARTBEAT_SECONDS;
      return el("li", { "data-pid": each.pid }, el("b", { text: `process ${each.pid}` }), badge(isLate ? "warn" : PHASES[each.phase] ?? "idle", isLate ? "silent" : each.phase),
        el("span", { class: "quiet", text: `started ${age(each.age_seconds)} ago` }),
        el("span", { class: "quiet", text: each.heartbeat_age_seconds === null ? "no heartbeat yet" : `heartbeat ${number(each.heartbeat_age_seconds)} s ago` }));
    });
    const exits = Object.entries(values.worker_exits).map(([reason, exited]) => `${number(exited)} ${reason}`).join(", ");
    return panel("Workers", { wide: true, name: "workers", note: `exits since the start: ${exits || "none"}` }, el("ul", { class: "tiles" }, tiles));
  }

  latency(traffic) {
    const bars = traffic.latency.map((each) => ({ label: `up to ${each.to === null ? "more" : duration(each.to)}`, value: each.calls, text: number(each.calls) }));
    return panel("Unary calls by latency", { name: "distribution", note: recent(traffic) }, bars.length ? barChart("Unary calls by latency", bars, "distribution") : el("p", { class: "quiet", text: "no call" }));
  }

  statuses(traffic) {
    const kinds = { ok: "good", server: "bad", caller: "warn" };
    const names = { ok: "success", server: "error of the server", caller: "error of the caller" };
    return panel("Statuses", { name: "statuses", note: recent(traffic) }, table("Calls by status", [
      { head: "status", cell: (row) => row.code },
      { head: "kind", cell: (row) => badge(kinds[row.kind], names[row.kind]) },
      { head: "recent", class: "number", cell: (row) => number(row.recent) },
      { head: "since start", class: "number", cell: (row) => number(row.calls) },
    ], traffic.statuses, "no call yet"));
  }

  methods(traffic) {
    return panel("Methods", { wide: true, name: "methods", note: `${recent(traffic)}; percentiles of unary calls` }, table("Calls by method", [
      { head: "method", cell: (row) => row.method },
      { head: "per second", class: "number", cell: (row) => number(row.rate) },
      { head: "median", class: "number", cell: (row) => duration(row.p50) },
      { head: "p95", class: "number", cell: (row) => duration(row.p95) },
      { head: "p99", class: "number", cell: (row) => duration(row.p99) },
      { head: "since start", class: "number", cell: (row) => number(row.calls) },
      { head: "server errors", class: "number", cell: (row) => number(row.server_errors) },
      { head: "caller errors", class: "number", cell: (row) => number(row.caller_errors) },
    ], traffic.methods, "no call yet"));
  }

  redraw() {
    this.charts.forEach((each) => each.redraw());
  }

  destroy() {
    this.charts.forEach((each) => each.destroy());
  }
}

function recent(traffic) {
  return `the last ${count(Math.round(traffic.recent_seconds), "second")}`;
}
