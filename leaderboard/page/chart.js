"use strict";
// Small drawings: dots on a line for seeds, lines for what moved during training.

const SHAPES = ["", "6 3", "7 2 2 2", "2 2", "9 2 2 2 2 2", "1 3", "12 3"]; // dashes, as in the report's pictures

/** Rows of dots on one axis. rows: [{label, values, titles, kind}]. */
function stripPlot(rows, description) {
  const shown = rows.filter((row) => row.values.length > 0);
  const all = shown.flatMap((row) => row.values);
  if (all.length === 0) return null;
  const [left, right, step] = [120, 590, 34];
  const [low, high] = widened(Math.min(...all), Math.max(...all));
  const x = (value) => left + ((value - low) / (high - low)) * (right - left);
  const bottom = 8 + shown.length * step;
  const marks = shown.map((row, index) => {
    const y = 8 + step * (index + 0.5);
    const middle = x(mean(row.values));
    return [
      draw("text", { x: 0, y: y + 4, class: "label" }, shortened(row.label, 17)),
      draw("line", { x1: left, x2: right, y1: y, y2: y, class: "rule" }),
      row.values.map((value, place) =>
        draw("circle", { cx: x(value), cy: y, r: 4.5, class: `dot ${row.kind}` }, draw("title", {}, row.titles[place]))),
      draw("line", { x1: middle, x2: middle, y1: y - 10, y2: y + 10, class: "middle" }),
    ];
  });
  const ticks = ticksOf(low, high, 5).map(([value, text]) =>
    draw("text", { x: x(value), y: bottom + 14, class: "tick", "text-anchor": "middle" }, text));
  return picture(600, bottom + 20, description, [marks, ticks]);
}

/**
 * Lines with a band. series: [{label, mean, sd, colour}]; steps: shared x.
 * options: unit, held (a value stays until the next), level (a line across), range of y.
 */
function linePlot(steps, series, options, description) {
  const [left, right, top, bottom] = [46, 270, 10, 170];
  const [low, high] = options.range;
  const [first, last] = [steps[0], steps.at(-1)];
  const x = (step) => (last === first ? (left + right) / 2 : left + ((step - first) / (last - first)) * (right - left));
  const y = (value) => bottom - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (bottom - top);
  const corners = (values) =>
    values.map((value, k) => `${k === 0 ? "M" : options.held ? `H${round(x(steps[k]))}V` : "L"}` +
      (k > 0 && options.held ? round(y(value)) : `${round(x(steps[k]))} ${round(y(value))}`)).join("");
  const band = (one) => {
    const up = steps.map((step, k) => `${round(x(step))} ${round(y(one.mean[k] + (one.sd[k] ?? 0)))}`);
    const down = steps.map((step, k) => `${round(x(step))} ${round(y(one.mean[k] - (one.sd[k] ?? 0)))}`).reverse();
    return draw("path", { d: `M${up.join("L")}L${down.join("L")}Z`, class: `band c${one.colour}` });
  };
  const heights = apart(series.map((one) => y(one.mean.at(-1))), 14, top, bottom);
  const lines = series.map((one, k) => [
    one.sd && !options.held && band(one),
    draw("path", { d: corners(one.mean), class: `line c${one.colour}`, "stroke-dasharray": SHAPES[one.colour % 7] }),
    steps.length === 1 && draw("circle", { cx: x(first), cy: y(one.mean[0]), r: 3, class: `dot c${one.colour}` }),
    draw("line", { x1: right + 6, x2: right + 24, y1: heights[k], y2: heights[k], class: `line c${one.colour}`,
      "stroke-dasharray": SHAPES[one.colour % 7] }),
    draw("text", { x: right + 28, y: heights[k] + 4, class: "label" },
      draw("title", {}, one.label), shortened(one.label, 20)),
  ]);
  const across = options.level !== undefined && draw("line",
    { x1: left, x2: right, y1: y(options.level), y2: y(options.level), class: "rule" });
  const ticks = [
    ticksOf(low, high, 4).map(([value, text]) => draw("text",
      { x: left - 6, y: y(value) + 4, class: "tick", "text-anchor": "end" }, text)),
    [...new Set([first, last])].map((step) => draw("text",
      { x: x(step), y: bottom + 16, class: "tick", "text-anchor": "middle" }, counted(step))),
    draw("text", { x: (left + right) / 2, y: bottom + 16, class: "tick", "text-anchor": "middle" }, options.unit),
  ];
  const axis = draw("path", { d: `M${left} ${top}V${bottom}H${right}`, class: "axis" });
  return picture(410, bottom + 24, description, [axis, across, lines, ticks]);
}

function picture(width, height, description, children) {
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description }, children);
}

/** Lowest and highest of the lines with their bands, with some air. */
function rangeOf(curves) {
  const spread = curves.flatMap(({ mean: middle, sd: band }) =>
    middle.flatMap((value, k) => [value - (band?.[k] ?? 0), value + (band?.[k] ?? 0)]));
  return widened(Math.min(...spread), Math.max(...spread));
}

function widened(low, high) {
  const air = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
  return [low - air, high + air];
}

/** Round numbers between low and high, about so many, each with its text. */
function ticksOf(low, high, count) {
  const rough = (high - low) / count;
  const power = Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * 10 ** power >= rough) * 10 ** power;
  const first = Math.ceil(low / step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) => (first + k) * step)
    .map((value) => [value, fixed(value, digits)]);
}

const round = (value) => Math.round(value * 10) / 10;
const shortened = (text, most) => ([...text].length > most ? `${[...text].slice(0, most - 1).join("")}…` : text);

/** Heights moved down, then up, until they lie a gap apart within the bounds; their order is kept. */
function apart(heights, gap, top, bottom) {
  const order = heights.map((_, k) => k).sort((a, b) => heights[a] - heights[b]);
  const moved = [...heights];
  let least = top;
  for (const k of order) least = (moved[k] = Math.max(moved[k], least)) + gap;
  let most = bottom;
  for (const k of [...order].reverse()) most = (moved[k] = Math.min(moved[k], most)) - gap;
  return moved;
}
