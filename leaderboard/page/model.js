"use strict";
// What the chosen protocol, suite, focus and seeds make of the data.

/** Everything that the parts of the page need, worked out once for one state. */
function contextOf(data, state) {
  const board = data.boards.find((one) => one.protocol === state.protocol);
  const tasks = board.tasks.filter((task) => state.suite === "" || task.suite === state.suite);
  const focus = board.rows.findIndex((row) => row.label === state.focus);
  return {
    data,
    board,
    state,
    tasks,
    focus,
    suite: board.suites.find((suite) => suite.suite === state.suite) ?? null,
    seeds: state.seeds, // null: all of them
    verdicts: new Map(board.tasks.map((task) => [task, judge(board, task, focus)])),
    ranks: new Map(tasks.map((task) => [task, taskRanks(board, task, state.seeds)])),
  };
}

/** Mean, sd and n over the seeds shown; null where there is none. */
function summaryOf(entry, seeds) {
  if (!entry.summary || !seeds) return entry.summary;
  const scores = entry.runs.score.filter((_, place) => seeds.has(entry.runs.seed[place]));
  return scores.length > 0 ? { mean: mean(scores), sd: sd(scores), n: scores.length } : null;
}

/**
 * The family "this focus against every other row of this task": raw and corrected p by row, and marks.
 * Marks belong to all planned seeds, so they do not depend on the seeds shown.
 */
function judge(board, task, focus) {
  if (focus < 0) return { refusal: "no focus method", size: 0, rows: new Map() };
  const others = board.rows
    .map((_, place) => place)
    .filter((place) => place !== focus && !board.rows[place].control_of && task.p[focus][place] !== null);
  const corrected = holm(others.map((place) => task.p[focus][place]));
  const refusal = task.refusals[focus];
  const rows = new Map();
  others.forEach((place, index) => {
    const gain = gainOf(task, focus, place);
    const marked = refusal === null && corrected[index] <= ALPHA && gain !== 0;
    const mark = marked ? (gain > 0 ? "worse" : "better") : null;
    rows.set(place, { p: task.p[focus][place], pHolm: corrected[index], mark });
  });
  return { refusal, size: others.length, rows };
}

/** How much better the focus is than another row, metric units: where scores are paired, at their common seeds. */
function gainOf(task, focus, other) {
  const [one, two] = [task.entries[focus], task.entries[other]];
  const both = new Set(one.runs.seed.filter((seed) => two.runs.seed.includes(seed)));
  const common = task.paired && both.size > 0 ? both : null;
  const difference = summaryOf(one, common).mean - summaryOf(two, common).mean;
  return task.higher_is_better ? difference : -difference;
}

/** Where the seed draws the split, the means are those over the seeds that all methods on the task have. */
function taskRanks(board, task, seeds) {
  const ranked = task.entries.filter((entry, place) => entry.summary && !board.rows[place].control_of);
  const shown = task.paired && ranked.length > 0 ? sharedSeeds(ranked, seeds) : seeds;
  const means = task.entries.map((entry) => (ranked.includes(entry) ? (summaryOf(entry, shown)?.mean ?? null) : null));
  return ranks(means, task.higher_is_better);
}

/** Of the seeds shown, those that all entries have. */
function sharedSeeds(entries, seeds) {
  const all = entries.map((entry) => entry.runs.seed);
  return new Set(all[0].filter((seed) => (!seeds || seeds.has(seed)) && all.every((own) => own.includes(seed))));
}

/** The share of fine-tuning's error that a row removes on a task: {value, low, high}, or null. */
function removedOn(context, task, place) {
  const suite = context.board.suites.find((one) => one.suite === task.suite);
  const column = suite?.tasks.indexOf(task.task) ?? -1;
  const whole = column < 0 ? null : (suite.rows[place]?.error_removed[column] ?? null);
  if (!context.seeds || whole === null) return whole; // what the report does not give is not made up here
  const pair = [task.entries[place], task.entries[task.entries[place].baseline]];
  const seeds = task.paired ? sharedSeeds(pair, context.seeds) : context.seeds;
  const [own, baseline] = pair.map((entry) => summaryOf(entry, seeds));
  if (!own || !baseline) return null;
  const value = errorRemoved(own.mean, baseline.mean, task.higher_is_better);
  return value === null ? null : { value };
}

/** Why a row has fewer seeds than planned on a task: items of the report, each with its kind. */
function lackingOn(board, task, place) {
  const label = board.rows[place].label;
  const of = (items, kind) =>
    items.filter((item) => item.row === label && item.task === task.task).map((item) => ({ ...item, kind }));
  return [...of(board.failed, "failed"), ...of(board.missing, "missing")];
}

/** One word for a cell without a score. */
function absence(board, task, place) {
  const entry = task.entries[place];
  if (entry.summary) return NOTHING; // a score, but nothing to show of it in this view
  if (entry.skipped) return "skipped";
  return lackingOn(board, task, place)[0]?.kind ?? (entry.planned ? "missing" : NOTHING);
}
