"use strict";
// What the reader chose. It lives in the address after "#", so that a view can be linked and the back button works.

const VIEWS = {
  score: "Score",
  removed: "Error removed",
  rank: "Rank",
  cost: "Cost",
};

/** Read the state from the address; what does not fit the data falls back to what the report shows first. */
function readState(data) {
  const given = new URLSearchParams(location.hash.slice(1));
  const board = data.boards.find((one) => one.protocol === given.get("protocol")) ?? data.boards[0];
  const suites = suitesOf(board);
  const labels = board.rows.filter((row) => !row.control_of).map((row) => row.label);
  const one = (key, known, otherwise) => (known.includes(given.get(key)) ? given.get(key) : otherwise);
  return {
    protocol: board.protocol,
    suite: one("suite", [...suites, ""], suites[0] ?? ""),
    focus: one("focus", labels, board.focus),
    view: one("view", Object.keys(VIEWS), "score"),
    filter: given.get("filter") ?? "",
    sort: given.get("sort") ?? "",
    direction: one("direction", ["ascending", "descending"], ""),
    seeds: readSeeds(given.get("seeds"), board.seeds),
    controls: given.get("controls") !== "no",
    published: given.get("published") !== "no",
    row: one("row", board.rows.map((row) => row.label), ""),
    task: one("task", board.tasks.map((task) => task.task), ""),
  };
}

const suitesOf = (board) => [...new Set(board.tasks.map((task) => task.suite))];

function readSeeds(text, all) {
  if (text === "none") return new Set();
  const chosen = new Set((text ?? "").split("-").filter(Boolean).map(Number).filter((seed) => all.includes(seed)));
  return [0, all.length].includes(chosen.size) ? null : chosen;
}

/** The address of a state: only what differs from the first view is written. */
function addressOf(state, data) {
  const board = data.boards.find((one) => one.protocol === state.protocol);
  const written = {
    protocol: state.protocol !== data.boards[0].protocol && state.protocol,
    suite: state.suite !== (suitesOf(board)[0] ?? "") && state.suite,
    focus: state.focus !== board.focus && state.focus,
    view: state.view !== "score" && state.view,
    filter: state.filter !== "" && state.filter,
    sort: state.direction !== "" && state.sort,
    direction: state.direction !== "" && state.direction,
    seeds: state.seeds !== null && ([...state.seeds].sort((a, b) => a - b).join("-") || "none"),
    controls: !state.controls && "no",
    published: !state.published && "no",
    row: state.row !== "" && state.row,
    task: state.row !== "" && state.task,
  };
  const kept = Object.entries(written).filter(([, value]) => value !== false && value !== null);
  return `#${new URLSearchParams(kept)}`;
}
