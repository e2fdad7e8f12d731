// Elements without markup in strings: text is always text, so no value of the server becomes HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Returns an element; `class`, `text` and `on…` are set as such, other entries as attributes; null leaves one out. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** Returns an SVG element. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Returns a table that scrolls within its own box; `columns` are {head, cell(row), class}. */
export function table(caption, columns, rows, empty = "none") {
  const head = el("tr", {}, columns.map((each) => el("th", { scope: "col", class: each.class, text: each.head })));
  const body = rows.map((row) =>
    el("tr", {}, columns.map((each, at) => {
      const value = each.cell(row);
      const isNode = value instanceof Node;
      return el(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: each.class, text: isNode ? null : value ?? "" }, isNode ? value : null);
    })));
  if (!rows.length) body.push(el("tr", {}, el("td", { colspan: columns.length, class: "quiet", text: empty })));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "hidden", text: caption }), el("thead", {}, head), el("tbody", {}, body)));
}

/** Returns a section with a heading. */
export function panel(title, options, ...children) {
  const { note = null, wide = false, name = null } = options;
  return el("section", { class: wide ? "panel wide" : "panel", "data-panel": name },
    el("h2", { text: title }), note ? el("p", { class: "quiet note", text: note }) : null, ...children);
}

const MARKS = { good: "✓", warn: "!", bad: "✗", idle: "–" };

/** Returns a label with a mark and a colour: good, warn, bad or idle. */
export function badge(kind, text) {
  return el("span", { class: `badge ${kind}` }, el("span", { "aria-hidden": "true", text: `${MARKS[kind]} ` }), text);
}

/** Replaces the children of an element, and keeps open what was open, by its `data-key`. */
export function replace(parent, ...children) {
  const open = new Set([...parent.querySelectorAll("details[open]")].map((each) => each.dataset.key));
  parent.replaceChildren(...children);
  for (const each of parent.querySelectorAll("details")) if (open.has(each.dataset.key)) each.open = true;
}
