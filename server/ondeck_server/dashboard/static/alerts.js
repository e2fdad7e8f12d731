// The view "alerts": what fires, what may fire soon, and what is over.

import { badge, el, panel, replace, table } from "./dom.js";
import { age, moment, number } from "./format.js";

const STATES = { firing: ["bad", "firing"], pending: ["warn", "pending"], resolved: ["good", "resolved"] };

export class AlertsView {
  static key = "alerts";
  static title = "Alerts";
  seconds = 9;

  constructor() {
    this.element = el("div");
  }

  path() {
    return "/alerts";
  }

  update({ active, past, rules = [] }) {
    const text = JSON.stringify([active, past, rules]);
    if (text === this.text) return;
    this.text = text;
    const firing = active.filter((each) => each.state === "firing").length;
    const figures = [["firing", firing], ["pending", active.length - firing], ["past", past.length], ["rules", rules.length]];
    replace(this.element,
      el("dl", { class: "figures", "data-panel": "alert-figures" }, figures.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: number(value) })))),
      active.length ? el("ul", { class: "alerts", "data-panel": "active" }, active.map(card)) : el("p", { class: "notice calm", "data-panel": "active", text: `No alert is active; ${number(rules.length)} rules are evaluated.` }),
      panel("Past alerts", { name: "past" }, table("Past alerts", [
        { head: "alert", cell: (row) => row.labels.alertname },
        { head: "labels", class: "text", cell: (row) => tags(row.labels) },
        { head: "began", cell: (row) => moment(row.began_at) },
        { head: "lasted", class: "number", cell: (row) => (row.resolved_at ? age(row.resolved_at - row.began_at) : "") },
        { head: "summary", class: "text", cell: (row) => summary(row) },
      ], past)));
  }

  redraw() {}

  destroy() {}
}

function card(alert) {
  const [kind, text] = STATES[alert.state] ?? ["warn", alert.state];
  const runbook = alert.annotations.runbook_url ?? "";
  return el("li", { class: `panel ${kind}`, "data-alert": alert.labels.alertname }, el("h2", {}, badge(kind, text), ` ${alert.labels.alertname}`),
    el("p", { text: summary(alert) }),
    alert.annotations.description ? el("p", { class: "quiet", text: alert.annotations.description }) : null,
    el("p", {}, tags(alert.labels)),
    el("p", { class: "quiet note", text: `since ${moment(alert.began_at)}${alert.fired_at ? `, fired ${moment(alert.fired_at)}` : ""}; value ${number(alert.value)}` }),
    /^https?:/.test(runbook) ? el("p", {}, el("a", { href: runbook, rel: "noreferrer", text: "runbook" })) : null);
}

function summary(alert) {
  return alert.annotations.summary ?? alert.annotations.description ?? "";
}

function tags(labels) {
  return el("span", {}, Object.entries(labels).filter(([name]) => name !== "alertname").map(([name, value]) => el("span", { class: "tag", text: `${name} ${value}` })));
}
