// The view "data": the calendar of each season, quarantine, players, sources and loads.

import { badge, el, panel, replace, svg, table } from "./dom.js";
import { moment, number } from "./format.js";
import { readState } from "./read_state.js";

const CELL = 14;
const LEFT = 34;
const TOP = 18;
const STATES = { c: "complete", p: "partial", m: "missing", n: "no games", u: "nothing stored" };
const MONTHS = Array.from({ length: 12 }, (_, month) => new Date(2024, month, 1).toLocaleString("en-GB", { month: "short" }));
const WEEKDAYS = { 1: "Tue", 3: "Thu", 5: "Sat" };

export class DataView {
  static key = "data";
  static title = "Data";
  seconds = 15;

  constructor() {
    this.element = el("div");
  }

  path() {
    return "/api/v1/data";
  }

  update({ read, values }) {
    const text = JSON.stringify([read, values]);
    if (text === this.text) return;
    this.text = text;
    replace(this.element, readState(read, "The database"), ...(values ? this.panels(values) : []));
  }

  panels(values) {
    const problems = new Map(values.problem_days.map((each) => [each.day, each.reason]));
    return [
      this.figures(values),
      ...(values.calendars.length ? values.calendars.map((each) => calendar(each, problems)) : [panel("Days", { name: "calendar" }, el("p", { class: "quiet", text: "no day is stored" }))]),
      el("div", { class: "grid" }, this.problems(values), this.quarantine(values), this.players(values), this.sources(values), this.loads(values)),
    ];
  }

  figures(values) {
    const rejected = values.quarantine.reduce((sum, each) => sum + each.rows, 0);
    const shown = [
      ["pitches", values.seasons.reduce((sum, each) => sum + each.pitches, 0)],
      ["games", values.seasons.reduce((sum, each) => sum + each.games, 0)],
      ["days with a problem", values.problem_day_count],
      ["rows in quarantine", rejected],
      ["unresolved players", values.unresolved_count],
      ["conflicts of registers", values.conflict_count],
    ];
    return el("dl", { class: "figures", "data-panel": "data-figures" }, shown.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: number(value) }))));
  }

  problems(values) {
    const note = values.problem_day_count > values.problem_days.length ? `the latest ${values.problem_days.length} of ${number(values.problem_day_count)}` : null;
    return panel("Partial and missing days", { name: "problem-days", note }, table("Partial and missing days", [
      { head: "day", cell: (row) => row.day },
      { head: "state", cell: (row) => badge(row.state === "m" ? "bad" : "warn", STATES[row.state]) },
      { head: "reason", class: "text", cell: (row) => row.reason },
    ], values.problem_days));
  }

  quarantine(values) {
    const closed = Object.entries(values.quarantine_closed).map(([outcome, rows]) => `${number(rows)} ${outcome}`).join(", ");
    return panel("Quarantine", { name: "quarantine", note: `closed: ${closed || "none"}` }, table("Rows in quarantine", [
      { head: "code", cell: (row) => row.code },
      { head: "rows", class: "number", cell: (row) => number(row.rows) },
      { head: "days or files", class: "number", cell: (row) => number(row.units) },
      { head: "latest", cell: (row) => moment(row.latest) },
      { head: "example", class: "text", cell: (row) => row.example },
    ], values.quarantine, "no row is in quarantine"));
  }

  players(values) {
    const note = values.unresolved_count > values.unresolved.length ? `the first ${values.unresolved.length} of ${number(values.unresolved_count)}` : "in pitches, and in no register yet";
    return panel("Unresolved players", { name: "players", note }, table("Unresolved players", [
      { head: "id", cell: (row) => row.player_id },
      { head: "name in Savant", cell: (row) => row.name ?? "–" },
      { head: "next look-up", cell: (row) => (row.next_try ? moment(row.next_try) : "at the next run") },
    ], values.unresolved, "every player is in a register"));
  }

  sources(values) {
    return panel("Sources", { name: "sources" }, table("Sources", [
      { head: "source", cell: (row) => row.source },
      { head: "circuit", cell: (row) => badge(row.state === "closed" ? "good" : "bad", row.state) },
      { head: "recorded", cell: (row) => moment(row.recorded_at) },
      { head: "until", cell: (row) => (row.until ? moment(row.until) : "") },
      { head: "reason", class: "text", cell: (row) => row.reason },
    ], values.sources, "no request yet"));
  }

  loads(values) {
    return panel("Latest loads", { name: "loads" }, table("Latest loads", [
      { head: "day or file", cell: (row) => row.unit.split(" ")[0] },
      { head: "source", cell: (row) => row.source },
      { head: "time", cell: (row) => moment(row.loaded_at) },
      { head: "new", class: "number", cell: (row) => number(row.inserted) },
      { head: "changed", class: "number", cell: (row) => number(row.changed) },
      { head: "", cell: (row) => (row.is_reverted ? badge("warn", "reverted") : "") },
    ], values.loads));
  }

  redraw() {}

  destroy() {}
}

/** Returns the calendar of a season: weeks as columns, and a table of its months. */
function calendar(season, problems) {
  const first = new Date(Date.UTC(season.season, 0, 1));
  const offset = (first.getUTCDay() + 6) % 7;
  const months = Array.from({ length: 12 }, () => ({ c: 0, p: 0, m: 0, n: 0, u: 0 }));
  const cells = [];
  [...season.days].forEach((state, number_) => {
    const day = new Date(Date.UTC(season.season, 0, 1 + number_));
    if (state === "-") return;
    months[day.getUTCMonth()][state] += 1;
    const at = number_ + offset;
    const name = day.toISOString().slice(0, 10);
    cells.push(cell(LEFT + Math.floor(at / 7) * CELL, TOP + (at % 7) * CELL, state, `${name}: ${STATES[state]}${problems.has(name) ? `, ${problems.get(name)}` : ""}`));
  });
  const used = months.map((counts, month) => ({ month, counts })).filter(({ counts }) => Object.values(counts).some(Boolean));
  const from = used[0]?.month ?? 0;
  const to = used.at(-1)?.month ?? 11;
  const x = (month) => LEFT + Math.floor((Math.round((Date.UTC(season.season, month, 1) - first) / 86400000) + offset) / 7) * CELL;
  const left = x(from) - LEFT;
  const width = (to === 11 ? LEFT + 54 * CELL : x(to + 1) + 2 * CELL) - left;
  const labels = used.map(({ month }) => svg("text", { x: x(month) + 2, y: 12 }, MONTHS[month]));
  const days = Object.entries(WEEKDAYS).map(([row, name]) => svg("text", { x: left + 2, y: TOP + Number(row) * CELL + 11 }, name));
  const counts = Object.entries(STATES).filter(([state]) => season.counts[state]);
  const summary = counts.map(([state, name]) => `${season.counts[state]} ${name}`).join(", ");
  return panel(`Season ${season.season}`, { name: "calendar" },
    el("p", { class: "legend" }, counts.map(([state, name]) => el("span", {}, svg("svg", { width: CELL, height: CELL, class: "calendar key", "aria-hidden": "true" }, cell(0, 0, state, "")), ` ${name} `, el("b", { text: season.counts[state] })))),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Days of ${season.season}` },
      svg("svg", { class: "calendar", role: "img", "aria-label": `Days of ${season.season}: ${summary}`, viewBox: `${left} 0 ${width} ${TOP + 7 * CELL + 2}`, width, height: TOP + 7 * CELL + 2 }, labels, days, cells)),
    el("details", { class: "values", "data-key": `months-${season.season}` }, el("summary", { text: "Months as a table" }),
      table(`Months of ${season.season}`, [{ head: "month", cell: (row) => MONTHS[row.month] },
        ...Object.entries(STATES).map(([state, name]) => ({ head: name, class: "number", cell: (row) => row.counts[state] }))], used)));
}

/** Returns the mark of a day: its shape says the same as its colour. */
function cell(x, y, state, title) {
  const size = CELL - 2;
  const mark = { p: [["path", { d: `M${x + 1} ${y + size - 1}L${x + size - 1} ${y + 1}`, class: "stroke" }]],
    m: [["path", { d: `M${x + 3} ${y + 3}l${size - 6} ${size - 6}m0 ${6 - size}l${6 - size} ${size - 6}`, class: "stroke" }]],
    n: [["circle", { cx: x + size / 2, cy: y + size / 2, r: 1.5 }]] }[state] ?? [];
  return svg("g", { class: `day ${state}` }, title ? svg("title", {}, title) : null,
    svg("rect", { x, y, width: size, height: size, rx: 2.5 }), mark.map(([name, attributes]) => svg(name, attributes)));
}
