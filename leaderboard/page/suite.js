"use strict";
// What is said over the tasks of a suite together.

function suitePart(context) {
  const { suite, board } = context;
  if (!suite) return null;
  const title = ["Over the tasks of ", bdi(suite.suite)];
  if (suite.no_aggregate) return part(2, title, make("p", {}, "No aggregate: ", bdi(suite.no_aggregate), "."));
  const rows = suite.rows.map((row, place) => ({ row, place }))
    .filter(({ row, place }) => row && !board.rows[place].control_of);
  return part(2, title, aggregates(context, rows), comparisons(context), bulletList(suiteNotes(context, rows)));
}

function aggregates({ suite }, rows) {
  const lines = rows.map(({ row }) => [
    bdi(row.row),
    estimate(row.iqm),
    between(row.iqm_over_tasks) ?? NOTHING,
    row.mean_score === null ? NOTHING : fixed(row.mean_score, 3),
    row.average_rank === null ? NOTHING : row.average_rank.toFixed(2),
  ]);
  const caption = `Aggregates over ${suite.tasks.length} tasks, on the share of fine-tuning's error removed (percent)`;
  return tableOf(caption, ["Method", "IQM, 95 % over seeds", "95 % over tasks too", "Mean score", "Average rank"], lines);
}

/** The focus against each other row: as the report has it, or from the sign flips of all pairs for another focus. */
function comparisons(context) {
  const { suite, board, focus } = context;
  if (focus < 0) return null;
  const label = board.rows[focus].label;
  const title = [bdi(label), " against each other method; positive: ", bdi(label), " is better"];
  if (label === board.focus) {
    if (suite.comparisons.length === 0) return null;
    const heads = ["Method", "Tasks", "Difference", "95 % interval", "On tasks like these: p (Holm)", "On exactly these: p (Holm)",
      "P(improvement), 95 %"];
    return tableOf(title, heads, suite.comparisons.map((one) => [
      bdi(one.other), String(one.tasks.length), percent(one.difference), between(one.interval) ?? NOTHING,
      suite.no_marks ? NOTHING : shownP(one.p_holm),
      suite.no_marks ? NOTHING : shownP(one.p_stratified_holm),
      fixed(one.improvement.value, 2)
        + (isGiven(one.improvement.low) ? ` (${fixed(one.improvement.low, 2)} to ${fixed(one.improvement.high, 2)})` : ""),
    ]));
  }
  const place = suite.ranking?.rows.indexOf(label) ?? -1;
  if (place < 0) return null;
  const lines = suite.ranking.rows.map((other, k) => [bdi(other), suite.ranking.no_groups ? NOTHING : shownP(suite.ranking.p_holm[place][k])]);
  return tableOf([bdi(label), ` against each other method: sign flips, Holm over all ${suite.ranking.family_size} pairs`],
    ["Method", "p (Holm)"], lines.filter((_, k) => k !== place));
}

function suiteNotes({ suite, board, state }, rows) {
  const lines = [...suite.coverage, ...suite.bootstrap, ...suite.baselines, ...suite.scale].map(bdi);
  if (suite.no_marks) lines.push(["No suite-level significance: ", bdi(suite.no_marks), "."]);
  if (suite.ranking?.no_groups) lines.push(["No groups: ", bdi(suite.ranking.no_groups), "."]);
  for (const group of suite.ranking?.groups ?? []) {
    lines.push(["Not separated by Holm-corrected sign flips: ", bdi(listed(group)), "."]);
  }
  for (const { row } of rows.filter(({ row: one }) => one.missing.length > 0)) {
    lines.push([bdi(row.row), " has no aggregate: no record on ", bdi(listed(row.missing)), "."]);
  }
  for (const { row } of rows.filter(({ row: one }) => one.unshared.length > 0)) {
    lines.push([bdi(row.row), " has no aggregate: no paired seed that fine-tuning shares and that leaves it an error on ",
      bdi(listed(row.unshared)), "."]);
  }
  for (const [task, seeds] of Object.entries(suite.shared_seeds)) {
    lines.push(seeds.length > 0
      ? ["Ranks and mean scores count on ", bdi(task), ` the seeds that all ranked methods have: ${ranges(seeds)}.`]
      : ["No ranks and no mean scores: on ", bdi(task), " the seed draws the split, and the methods share none."]);
  }
  const fewer = suite.comparisons.filter((one) => one.tasks.length < suite.tasks.length);
  for (const one of state.focus === board.focus ? fewer : []) {
    const without = suite.tasks.filter((task) => !one.tasks.includes(task));
    lines.push([bdi(one.other), " is compared without ", bdi(listed(without)), ": no record, or no common seed where it draws the split."]);
  }
  if (state.focus !== board.focus && suite.comparisons.length > 0) {
    lines.push(["Differences, tests on exactly these tasks and P(improvement) were computed for the focus ",
      bdi(board.focus), " alone; write the report with another --focus to have them for it."]);
  }
  lines.push("IQM: mean of the middle half of all seeds and tasks. On tasks like these: sign flip of the task "
    + "means. On exactly these: labels shuffled within each task.");
  return lines;
}

/** A share in percent with its interval, if there is one. */
function estimate(found) {
  if (!found) return NOTHING;
  return signed(100 * found.value, 1) + (between(found) ? ` (${between(found)})` : "");
}
