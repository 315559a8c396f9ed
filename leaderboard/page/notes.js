"use strict";
// The words around the score table, made from the same context as its marks.

const CAPTIONS = {
  score: "Test score: mean ± standard deviation over seeds (number of seeds)",
  removed: "Share of fine-tuning's error removed, with 95 % interval over seeds",
  rank: "Rank by mean test score on each task (1 is best), and the mean score",
  cost: "Cost of one cell relative to fine-tuning, its seconds and peak memory",
};

function captionOf(context) {
  const where = context.state.suite === "" ? "All suites" : context.state.suite;
  return [bdi(where), ". ", CAPTIONS[context.state.view], ", protocol ", bdi(context.board.protocol), "."];
}

/** What the table's signs mean, and why some are absent. */
function notesOf(context) {
  const { board, tasks, state } = context;
  const entries = tasks.flatMap((task) => task.entries);
  const lines = board.mixed_settings.map((line) => ["Warning: different settings are averaged: ", bdi(line)]);
  if (state.view === "cost") {
    lines.push("Means over seeds of the cell's own stages. Shared stages that fine-tuning has not are charged in full, "
      + "as if this were the only task; the cell's details list them.", ...suitesShown(context).flatMap((one) => one.baselines.map(bdi)));
  } else {
    if (!context.seeds) lines.push(...markNotes(context));
    if (entries.some((entry) => (entry.summary?.n ?? 0) < entry.planned)) {
      lines.push("† fewer seeds than planned; the section on missing cells says why.");
    }
    if (entries.some((entry) => entry.summary && !entry.published)) {
      lines.push("° ours: no paper evaluates this combination of method and modality.");
    }
  }
  const drawn = tasks.filter((task) => task.paired);
  if (drawn.length > 0 && ["score", "rank"].includes(state.view)) {
    lines.push(["On ", bdi(listed(drawn.map((task) => task.name))), " the seed draws the split: ranks and the best mean "
      + "are of means over the seeds that the methods share."]);
  }
  if (state.view === "removed") lines.push(...removedNotes(context));
  if (board.rows.some((row) => row.control_of) && state.controls) {
    lines.push("Null controls learn from shuffled validation labels; they stand outside bold, marks, ranks and families.");
  }
  return make("div", { class: "notes" }, bulletList(lines));
}

function markNotes({ board, tasks, verdicts, focus }) {
  const lines = [];
  if (tasks.some((task) => task.no_ties === null)) {
    lines.push("Bold: the best mean and every method that an uncorrected permutation test does not separate from it. "
      + "The best was picked by looking, so this is descriptive.");
  }
  for (const [rows, where] of grouped(tasks, (task) => listed(task.not_judged) || null)) {
    lines.push(["Not judged, too few seeds", where, ": ", bdi(rows), "."]);
  }
  for (const [reason, where] of grouped(tasks, (task) => task.no_ties)) {
    lines.push(["Nothing is bold", where, ": ", bdi(reason), "."]);
  }
  const marked = tasks.filter((task) => verdicts.get(task).refusal === null);
  const label = focus < 0 ? "" : board.rows[focus].label;
  if (marked.length > 0) {
    const sizes = [...new Set(marked.map((task) => verdicts.get(task).size))].sort((a, b) => a - b);
    lines.push(["▲ better, ▼ worse than the focus method ", bdi(label),
      `: p ≤ ${ALPHA} after Holm over the ${sizes.join(" or ")} comparisons of one task (two-sided permutation tests, all seeds).`]);
  }
  for (const [reason, where] of grouped(tasks, (task) => verdicts.get(task).refusal)) {
    lines.push(["No marks", where, ": ", bdi(reason), "."]);
  }
  return lines;
}

const suitesShown = ({ board, state }) =>
  board.suites.filter((suite) => state.suite === "" || suite.suite === state.suite);

function removedNotes(context) {
  const suites = suitesShown(context);
  const reasons = suites.filter((suite) => suite.no_aggregate)
    .map((suite) => [bdi(suite.suite), ": no common scale: ", bdi(suite.no_aggregate), "."]);
  if (suites.length === 0) reasons.push("This report holds no common scale.");
  return ["0 % is fine-tuning, 100 % no error left.", ...suites.flatMap((one) => one.bootstrap), ...suites.flatMap((one) => one.baselines.map(bdi)), ...reasons];
}

/** Tasks that share a reason, as [reason, " on a and b", or "" if all share it]. */
function grouped(tasks, reasonOf) {
  const found = new Map();
  for (const task of tasks) {
    const reason = reasonOf(task);
    if (reason !== null) found.set(reason, [...(found.get(reason) ?? []), task.name]);
  }
  return [...found].map(([reason, names]) =>
    [reason, names.length === tasks.length ? "" : [" on ", bdi(listed(names))]]);
}

/** What is on show: "7 of 11 methods, 13 of 21 tasks". */
function statusOf(context) {
  const { board, tasks } = context;
  const shown = groupsOf(context)[0].rows.length;
  const all = board.rows.filter((row) => !row.control_of).length;
  return `${shown} of ${all} methods, ${tasks.length} of ${board.tasks.length} tasks`;
}

/** The warning while seeds are hidden; nothing otherwise. */
function warningOf({ seeds, board }) {
  if (!seeds) return "";
  const which = seeds.size === 0 ? "No seed is shown" : `Seeds ${ranges([...seeds].sort((a, b) => a - b))} of ${board.seeds.length} are shown`;
  return `${which}: no bold, no significance marks, no averages over tasks. These belong to all planned seeds; `
    + "choosing seeds after seeing their scores is how false differences arise.";
}

/** How much of the plan is there. */
function coverageOf(board) {
  const [missing, failed] = [board.missing, board.failed].map((items) => items.flatMap((item) => item.seeds).length);
  const start = `Protocol ${board.protocol}: `;
  if (missing + failed === 0) return `${start}all ${counted(board.cells)} cells done.`;
  return `${start}${counted(missing)} of ${counted(board.cells)} cells missing, ${counted(failed)} failed.`;
}
