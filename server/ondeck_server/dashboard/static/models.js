// The view "models": what the evaluation of each served version says.

import { badge, el, panel, replace, svg, table } from "./dom.js";
import { number } from "./format.js";
import { readState } from "./read_state.js";
import { ScorePanels } from "./scores.js";

const SIZE = 168;
const EDGE = 26;
const PLACES = 4;

export class ModelsView {
  static key = "models";
  static title = "Models";
  seconds = 30;

  constructor() {
    this.scores = new ScorePanels();
    this.evaluations = el("div");
    this.element = el("div", {}, this.scores.element, this.evaluations);
  }

  path() {
    return "/api/v1/models";
  }

  update({ read, values, aliases, scores }) {
    const text = JSON.stringify([read, values, aliases, scores]);
    if (text === this.text) return;
    this.text = text;
    this.scores.update(scores.values);
    const versions = values ? values.versions : [];
    replace(this.evaluations, readState(read, "The model repository"),
      ...(values && !versions.length ? [el("p", { class: "quiet", text: "no version is loaded in every worker" })] : []),
      ...versions.map((each) => version(each, aliases[`${each.model} ${each.version}`] ?? [])));
  }

  redraw() {
    this.scores.redraw();
  }

  destroy() {
    this.scores.destroy();
  }
}

function version(each, aliases) {
  const name = `${each.model} ${each.version}`;
  const tags = el("p", {}, aliases.map((alias) => el("span", { class: "tag", text: alias })));
  if (each.unreadable) return panel(name, { wide: true, name: "model" }, tags, el("p", { class: "quiet", text: each.unreadable }));
  const own = each.scores.find((score) => score.predictor === "model");
  return panel(name, { wide: true, name: "model", note: `evaluated on ${each.evaluation_days}: ${number(each.rows)} rows of ${number(each.games)} games${each.is_serving_fit ? "" : "; the served fit is the same recipe, on more and later days"}` },
    tags, figures(each, own),
    el("div", { class: "pictures" }, lossPicture(each), coveragePicture(each)),
    el("h3", { text: "Reliability: predicted probability against observed frequency, bins of equal count" }),
    el("div", { class: "pictures" }, shownOutcomes(each.reliability).map(([outcome, bins]) => reliability(outcome, bins))),
    ...details(each, name));
}

function figures(each, own) {
  const [low, high] = each.intervals.log_loss ?? [null, null];
  const between = low === null ? "" : `${low.toFixed(PLACES)} to ${high.toFixed(PLACES)}`;
  const shown = [["log loss", own.log_loss, between], ["calibration error", own.ece, "over 20 bins"], ["Brier", own.brier, ""], ["AUC", own.auc, ""], ["accuracy", own.accuracy, ""]];
  return el("dl", { class: "figures" }, shown.filter(([, value]) => value !== null).map(([label, value, note]) =>
    el("div", {}, el("dt", { text: label }), el("dd", { text: value.toFixed(PLACES) }), note ? el("dd", { class: "under", text: note }) : null)));
}

/** Of two outcomes the second says all; of more each has its picture. */
function shownOutcomes(reliability_) {
  const entries = Object.entries(reliability_);
  return entries.length === 2 ? entries.slice(1) : entries;
}

/** Returns the bars of the log loss of the model and its baselines, and a mark on the interval of the model. */
function lossPicture(each) {
  const rows = each.scores.filter((score) => score.log_loss !== null);
  const most = Math.max(...rows.map((score) => score.log_loss));
  const lines = rows.map((score) => {
    const fill = el("span", { class: score.predictor === "model" ? "bar-fill" : "bar-fill other" });
    fill.style.width = `${(100 * score.log_loss) / most}%`;
    const question = score.question === "outcomes" ? "" : `${score.question}: `;
    return el("tr", {}, el("th", { scope: "row", text: `${question}${score.predictor}` }), el("td", { class: "bar" }, fill), el("td", { class: "number", text: score.log_loss.toFixed(PLACES) }));
  });
  return el("figure", { class: "picture bars-picture", "data-chart": "loss" }, el("figcaption", { text: "Log loss beside the baselines, less is better" }), el("table", { class: "bars" }, el("caption", { class: "hidden", text: "Log loss by predictor" }), el("tbody", {}, lines)));
}

/** Returns how often prediction sets contain the outcome, beside how often they should. */
function coveragePicture(each) {
  const rows = each.prediction_sets.map((set) => {
    const fill = el("span", { class: "bar-fill" });
    fill.style.width = `${100 * set.empirical}%`;
    const goal = el("span", { class: "goal", "aria-hidden": "true" });
    goal.style.left = `${100 * set.nominal}%`;
    const difference = Math.abs(set.empirical - set.nominal);
    return el("tr", {}, el("th", { scope: "row", text: `${(100 * set.nominal).toFixed(0)} % sets` }), el("td", { class: "bar goal-box" }, fill, goal),
      el("td", { class: "number" }, `${(100 * set.empirical).toFixed(1)} % `, difference < 0.02 ? "" : badge("warn", "off")), el("td", { class: "number", text: `size ${set.mean_size.toFixed(2)}` }));
  });
  return el("figure", { class: "picture bars-picture", "data-chart": "coverage" }, el("figcaption", { text: "Coverage of the prediction sets (the line: as stated), and their mean size" }), el("table", { class: "bars" }, el("caption", { class: "hidden", text: "Coverage of the prediction sets" }), el("tbody", {}, rows)));
}

/** Returns a reliability diagram: points on the diagonal are calibrated. */
function reliability(outcome, bins) {
  const x = (part) => EDGE + part * (SIZE - EDGE - 6);
  const y = (part) => SIZE - EDGE - part * (SIZE - EDGE - 6);
  const ticks = [0, 0.5, 1];
  const worst = Math.max(...bins.map(([, predicted, observed]) => Math.abs(predicted - observed)));
  const picture = svg("svg", { class: "reliability", role: "img", viewBox: `0 0 ${SIZE} ${SIZE}`, width: SIZE, height: SIZE, "aria-label": `Reliability of ${outcome}: largest difference ${worst.toFixed(3)}` },
    ticks.map((at) => [svg("line", { class: "gridline", x1: x(at), x2: x(at), y1: y(0), y2: y(1) }), svg("line", { class: "gridline", x1: x(0), x2: x(1), y1: y(at), y2: y(at) }),
      svg("text", { x: x(at), y: SIZE - 10, "text-anchor": "middle" }, String(at)), svg("text", { x: EDGE - 5, y: y(at) + 4, "text-anchor": "end" }, String(at))]).flat(),
    svg("line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    svg("polyline", { class: "curve", points: bins.map(([, predicted, observed]) => `${x(predicted)},${y(observed)}`).join(" ") }),
    bins.map(([rows, predicted, observed]) => svg("circle", { cx: x(predicted), cy: y(observed), r: 3.5 }, svg("title", {}, `predicted ${predicted.toFixed(3)}, observed ${observed.toFixed(3)}, ${number(rows)} rows`))));
  return el("figure", { class: "picture", "data-chart": "reliability" }, el("figcaption", { text: outcome.replaceAll("_", " ") }), picture, el("p", { class: "quiet note", text: `largest difference ${worst.toFixed(3)}` }));
}

function details(each, name) {
  const bins = Object.entries(each.reliability).flatMap(([outcome, rows]) => rows.map(([count, predicted, observed]) => ({ outcome, count, predicted, observed })));
  const text = (value) => (value === null ? "" : value.toFixed(PLACES));
  const fold = (label, key, ...children) => el("details", { class: "values", "data-key": `${key} ${name}` }, el("summary", { text: label }), ...children);
  return [
    fold("Reliability as a table", "bins", table(`Reliability of ${name}`, [{ head: "outcome", cell: (row) => row.outcome }, { head: "rows", class: "number", cell: (row) => number(row.count) },
      { head: "predicted", class: "number", cell: (row) => text(row.predicted) }, { head: "observed", class: "number", cell: (row) => text(row.observed) }], bins)),
    fold("Scores as a table", "scores", table(`Scores of ${name}`, [{ head: "question", cell: (row) => row.question }, { head: "predictor", cell: (row) => row.predictor },
      ...["log_loss", "brier", "ece", "auc", "accuracy"].map((key) => ({ head: key.replace("_", " "), class: "number", cell: (row) => text(row[key]) }))], each.scores)),
    fold("Parts of the rows", "slices", table(`Parts of the rows of ${name}`, [{ head: "by", cell: (row) => row.by }, { head: "value", cell: (row) => row.value }, { head: "rows", class: "number", cell: (row) => number(row.rows) },
      ...["log_loss", "ece", "accuracy"].map((key) => ({ head: key.replace("_", " "), class: "number", cell: (row) => text(row[key]) }))], each.slices)),
    fold("Model card", "card", el("pre", { tabindex: "0", role: "region", "aria-label": `Model card of ${name}`, text: each.card })),
  ];
}
