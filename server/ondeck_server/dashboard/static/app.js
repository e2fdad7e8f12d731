// The frame of the page: views, theme, regular requests, and what is shown when the server does not answer.

import { age, clock } from "./format.js";
import { badge, el } from "./dom.js";
import { AlertsView } from "./alerts.js";
import { DataView } from "./data.js";
import { HistoryView } from "./history.js";
import { ModelsView } from "./models.js";
import { NowView } from "./now.js";

const STATE_SECONDS = 3;
const TIMEOUT_SECONDS = 8;
const views = [NowView, DataView, ModelsView, HistoryView];

const parts = Object.fromEntries(["server", "updated", "theme", "views", "lost", "main", "skip"].map((id) => [id, document.getElementById(id)]));
let view = null;
let next = 0;
let generation = 0;
let failedSince = null;
let viewDue = 0;

/** Returns the JSON of a path. */
async function read(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000), cache: "no-store" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

function showState(state) {
  if (state.has_alerts && !views.includes(AlertsView)) {
    views.push(AlertsView);
    addView(AlertsView);
    if (location.hash === `#${AlertsView.key}`) open();
  }
  const problems = [...state.unready, ...state.degraded];
  const [kind, text] = state.unready.length ? ["bad", "not ready"] : problems.length ? ["warn", "ready, degraded"] : ["good", "ready"];
  if (parts.server.dataset.text !== text) {
    parts.server.dataset.text = text;
    parts.server.className = "";
    parts.server.replaceChildren(badge(kind, text));
  }
  parts.updated.textContent = `as of ${clock(state.at)}, up for ${age(state.at - state.started_at)}`;
  document.title = kind === "good" ? "Ondeck" : `(${text}) Ondeck`;
}

function showLost(error) {
  failedSince ??= new Date();
  document.body.classList.add("is-lost");
  if (!parts.lost.hasChildNodes()) {
    parts.lost.append(el("p", { text: `No answer from the server since ${failedSince.toLocaleTimeString("en-GB")}. The values below are the last known ones; the page tries again every ${STATE_SECONDS} s.` }));
  }
  parts.server.dataset.text = "lost";
  parts.server.replaceChildren(badge("bad", "no answer"));
  parts.lost.dataset.reason = String(error.message ?? error);
}

function showFound() {
  failedSince = null;
  document.body.classList.remove("is-lost");
  parts.lost.replaceChildren();
}

/** Requests the values of the view that are due, shows them, and calls itself again. */
async function update(mine) {
  const current = view;
  try {
    if (!document.hidden) {
      const isDue = performance.now() >= viewDue;
      if (isDue) {
        const values = await read(current.path());
        if (mine !== generation) return;
        viewDue = performance.now() + current.seconds * 1000 - 500;
        current.update(values);
        showState(values.server ?? (await read("/api/v1/server")).server);
      } else showState((await read("/api/v1/server")).server);
      if (failedSince) showFound();
    }
  } catch (error) {
    if (mine === generation) showLost(error);
  }
  if (mine === generation) next = setTimeout(update, STATE_SECONDS * 1000, mine);
}

function updateNow() {
  generation += 1;
  clearTimeout(next);
  viewDue = 0;
  update(generation);
}

function open() {
  const name = location.hash.slice(1);
  const kind = views.find((each) => each.key === name) ?? views[0];
  if (view) view.destroy();
  view = new kind(updateNow);
  parts.main.replaceChildren(view.element);
  parts.main.setAttribute("aria-label", kind.title);
  for (const link of parts.views.querySelectorAll("a")) {
    if (link.dataset.view === kind.key) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  updateNow();
}

function addView(kind) {
  parts.views.append(el("li", {}, el("a", { href: `#${kind.key}`, "data-view": kind.key, text: kind.title })));
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("ondeck-theme", theme);
  } catch {
    // storage is blocked: the choice lasts until the page is closed
  }
  if (view) view.redraw();
}

views.forEach(addView);
parts.theme.value = document.documentElement.dataset.theme;
parts.theme.addEventListener("change", () => setTheme(parts.theme.value));
parts.skip.addEventListener("click", (event) => {
  event.preventDefault();
  parts.main.focus();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view && view.redraw());
document.addEventListener("visibilitychange", () => document.hidden || updateNow());
addEventListener("hashchange", open);
open();
