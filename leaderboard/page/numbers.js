"use strict";
// Arithmetic and the writing of numbers. Nothing here touches the page.

const ALPHA = 0.05;
const NOTHING = "–";
const MINUS = "−";

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation with n - 1; null for a single value. */
function sd(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/** Holm's correction: the k-th smallest of m times m - k + 1, with the running maximum, at most 1. */
function holm(pValues) {
  const order = pValues.map((_, place) => place).sort((a, b) => pValues[a] - pValues[b] || a - b);
  const corrected = new Array(pValues.length);
  let largest = 0;
  order.forEach((place, step) => {
    largest = Math.max(largest, pValues[place] * (pValues.length - step));
    corrected[place] = Math.min(largest, 1);
  });
  return corrected;
}

/** Ranks of the values that are not null: 1 is best, values that are equal up to rounding share the mean of their places. */
function ranks(values, higherIsBetter) {
  const tied = (a, b) => Math.abs(a - b) <= 1e-12 * Math.max(Math.abs(a), Math.abs(b));
  const better = (a, b) => !tied(a, b) && (higherIsBetter ? a > b : a < b);
  const present = values.filter((value) => value !== null);
  return values.map((value) => {
    if (value === null) return null;
    const before = present.filter((other) => better(other, value)).length;
    const equal = present.filter((other) => tied(other, value)).length;
    return before + (equal + 1) / 2;
  });
}

/** The share of the baseline's error that a score removes; null where the baseline has no error. */
function errorRemoved(score, baseline, higherIsBetter) {
  const error = higherIsBetter ? 1 - baseline : baseline;
  if (!(error > 0)) return null;
  return higherIsBetter ? (score - baseline) / error : 1 - score / error;
}

/** A number with so many decimals and a true minus; what rounds to nothing has no sign. */
function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

const signed = (value, digits) => (Number(value.toFixed(digits)) > 0 ? "+" : "") + fixed(value, digits);
const percent = (share) => `${signed(100 * share, 1)} %`;
/** The ends of an interval of shares in percent; null where there are too few seeds for one. */
const between = (found) => (isGiven(found?.low) ? `${signed(100 * found.low, 1)} to ${signed(100 * found.high, 1)}` : null);
const counted = (value) => value.toLocaleString("en");

/** A p-value with two significant digits, near 0.05 with as many as tell on which side it is. */
function shownP(p) {
  if (p === null || p === undefined) return NOTHING;
  if (p >= 0.095) return p.toFixed(2);
  if (p < 0.0001) return p.toFixed(6);
  const texts = [2, 3, 4, 5, 6].map((digits) => String(Number(p.toPrecision(digits))));
  return texts.find((text) => Math.sign(Number(text) - ALPHA) === Math.sign(p - ALPHA)) ?? texts.at(-1);
}

function seconds(value) {
  if (value >= 5400) return `${(value / 3600).toFixed(1)} h`;
  return value >= 10 ? `${counted(Math.round(value))} s` : `${Number(value.toPrecision(2))} s`;
}

function memory(bytes) {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${counted(Math.round(bytes / 2 ** 20))} MiB`;
}

/** Sorted numbers with runs joined: 0-4, 7. */
function ranges(numbers) {
  const runs = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(", ");
}

const listed = (names) =>
  names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");
