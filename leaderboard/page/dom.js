"use strict";
// Making elements. Text from records only ever becomes a text node: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: attributes (a function under "onclick" and the like is a listener), then children. */
function make(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function draw(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

const isGiven = (value) => value !== null && value !== undefined;

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (!isGiven(value) || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => isGiven(child) && child !== false));
  return element;
}

const byId = (id) => document.getElementById(id);

/** Text of a record, kept from turning the direction of what stands around it. */
const bdi = (text) => make("bdi", {}, String(text));

/** Text for a screen reader alone. */
const unseen = (text) => make("span", { class: "unseen" }, text);

/** What a sign means, for those who do not see it. */
const sign = (symbol, meaning, kind) => [
  make("span", { class: kind, "aria-hidden": "true", title: meaning }, symbol),
  unseen(` ${meaning} `),
];

/** A table: caption, column heads (strings), rows (lists of cells; the first is the row's head). */
function tableOf(caption, heads, rows) {
  const head = make("tr", {}, heads.map((text) => make("th", { scope: "col" }, text)));
  const line = ([first, ...rest]) =>
    make("tr", {}, make("th", { scope: "row" }, first), rest.map((cell) => make("td", {}, cell)));
  const whole = make("table", { class: "small" }, make("caption", {}, caption));
  whole.append(make("thead", {}, head), make("tbody", {}, rows.map(line)));
  return make("div", { class: "scroll" }, whole);
}

/** Terms and what they are, without those that are nothing. */
function termList(pairs) {
  const shown = pairs.filter(([, value]) => isGiven(value) && value !== "");
  return make("dl", {}, shown.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
}

const bulletList = (items) => items.length > 0 && make("ul", {}, items.map((item) => make("li", {}, item)));

/** A part of the page with a heading, or nothing where it would be empty. */
function part(level, title, ...children) {
  const kept = children.flat().filter(Boolean);
  return kept.length > 0 && make("section", {}, make(`h${level}`, {}, title), kept);
}
