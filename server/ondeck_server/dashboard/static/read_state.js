// What the page says about values that another process reads: when they were read, or why they could not be.

import { el } from "./dom.js";
import { moment } from "./format.js";

/** Returns a notice, or a quiet line with the time of the values. */
export function readState(read, what) {
  const since = read.at ? ` The values below are of ${moment(read.at)}.` : "";
  if (read.state === "absent") return el("p", { class: "notice", "data-read": "absent", text: `${what} is absent: ${read.reason}.` });
  if (read.state === "failed") return el("p", { class: "notice", "data-read": "failed", text: `${what} cannot be read: ${read.reason}.${since}` });
  if (read.state === "reading") return el("p", { class: "quiet note", "data-read": "reading", text: `${what} is being read …` });
  return el("p", { class: "quiet note", "data-read": "read", text: `${what}, as of ${moment(read.at)}` });
}
