"use strict";
// One cell in full: its seeds, what moved during training, its tests, its cost, where it comes from.

/** Fill the dialog for a row on a task. */
function detailOf(context, place, task, close) {
  const { board } = context;
  const row = board.rows[place];
  const direction = task.higher_is_better ? "larger is better" : "smaller is better";
  return [
    make("header", {},
      make("div", {},
        make("h2", { id: "detail-title", tabindex: "-1" }, bdi(row.label), " on ", bdi(task.name)),
        make("p", { class: "quiet" }, bdi(task.suite), `, ${task.metric_name}, ${direction}, backbone `,
          bdi(row.backbones.join(", ")), ", protocol ", bdi(board.protocol))),
      make("button", { type: "button", class: "plain", onclick: close }, "Close")),
    make("div", { class: "body" }, [
      standingPart(context, place, task),
      seedsPart(context, place, task),
      comparisonPart(context, place, task),
      weightsPart(context, place, task),
      learningPart(context, place, task),
      readoutsPart(task, place),
      costPart(task, place),
      runPart(context, place, task),
    ].filter(Boolean)),
  ];
}

function standingPart(context, place, task) {
  const { board, focus } = context;
  const entry = task.entries[place];
  const verdict = context.verdicts.get(task);
  const lines = [];
  if (entry.summary) {
    const spread = entry.summary.sd === null ? "" : ` ± ${fixed(entry.summary.sd, task.decimals)}`;
    lines.push(make("p", { class: "big" }, `${fixed(entry.summary.mean, task.decimals)}${spread}`,
      make("small", {}, ` ${entry.summary.n} of ${entry.planned} seeds`)));
  } else {
    lines.push(make("p", { class: "big" }, `No score: ${absence(board, task, place)}`));
  }
  const said = [];
  const mark = verdict.rows.get(place)?.mark;
  const other = focus < 0 ? "" : bdi(board.rows[focus].label);
  if (place === focus) said.push("This is the focus method.");
  else if (mark) said.push([mark === "better" ? "▲ Better" : "▼ Worse", " than the focus method ", other, "."]);
  else if (board.rows[place].control_of) said.push("A null control: it stands outside bold, marks and families.");
  else if (verdict.refusal) said.push(["No mark: ", bdi(verdict.refusal), "."]);
  else if (entry.summary) said.push(["Not separated from the focus method ", other, "."]);
  if (entry.tied_with_best) said.push("Not separated from the best mean of the task (descriptive).");
  if (entry.summary && !entry.published) said.push("° No paper evaluates this combination of method and modality.");
  if (entry.skipped) said.push(["Skipped: ", bdi(entry.skipped)]);
  for (const item of lackingOn(board, task, place)) {
    said.push([`Seeds ${ranges(item.seeds)} ${item.kind}`, item.reason ? [": ", bdi(item.reason)] : ""]);
  }
  return make("section", {}, lines, bulletList(said));
}

function seedsPart(context, place, task) {
  const { board, focus } = context;
  const { runs } = task.entries[place];
  if (runs.seed.length === 0) return null;
  const strip = (label, found, field, kind) => {
    const dots = found.seed.map((seed, k) => [seed, found[field]?.[k]]).filter(([, value]) => isGiven(value));
    const titles = dots.map(([seed, value]) => `seed ${seed}: ${fixed(value, task.decimals)}`);
    return { label, values: dots.map(([, value]) => value), titles, kind };
  };
  const rows = [strip("test", runs, "score", "own"), strip("validation", runs, "validation", "validation")];
  const against = place === focus || focus < 0 ? null : task.entries[focus].runs;
  if (against?.seed.length) rows.push(strip(`test, ${board.rows[focus].label}`, against, "score", "other"));
  const column = (field, write) => (k) => (isGiven(runs[field]?.[k]) ? write(runs[field][k]) : NOTHING);
  const columns = [
    ["Test", column("score", (value) => fixed(value, task.decimals))],
    ["Validation", column("validation", (value) => fixed(value, task.decimals))],
    ["Chosen epoch", column("chosen_step", counted)],
    ["Time", column("seconds", seconds)],
    ["Finished", column("finished", (text) => bdi(text.slice(0, 16).replace("T", " ") || NOTHING))],
  ];
  const lines = runs.seed.map((seed, k) => [String(seed), ...columns.map(([, write]) => write(k))]);
  return part(3, "Seeds",
    stripPlot(rows, "Test and validation scores of each seed; the table below holds them."),
    tableOf("Every seed", ["Seed", ...columns.map(([title]) => title)], lines));
}

function comparisonPart(context, place, task) {
  const { board, focus } = context;
  const verdict = context.verdicts.get(task);
  if (focus < 0 || !task.entries[focus].summary) return null;
  const others = place === focus ? [...verdict.rows.keys()] : [place].filter((other) => verdict.rows.has(other));
  if (others.length === 0) return null;
  const label = board.rows[focus].label;
  const full = label === board.focus ? task.comparisons : {};
  const lines = others.map((other) => {
    const found = full[other];
    const { p, pHolm } = verdict.rows.get(other);
    const tested = verdict.refusal === null;
    return [
      bdi(board.rows[other].label),
      signed(gainOf(task, focus, other), task.decimals),
      found?.interval ? `${signed(found.interval.low, task.decimals)} to ${signed(found.interval.high, task.decimals)}` : NOTHING,
      found ? fixed(found.probability_better, 2) : NOTHING,
      tested ? shownP(p) : NOTHING,
      tested ? shownP(pHolm) : NOTHING,
    ];
  });
  const kinds = [...new Set(others.filter((other) => full[other]).map((other) => procedure(full[other])))];
  const notes = [
    verdict.refusal && ["No p-values: ", bdi(verdict.refusal), "."],
    kinds.length > 0 && `${kinds.join("; ")}; Holm over ${verdict.size} comparisons.`,
    kinds.length === 0 && ["Intervals and P(better) are in a report written with --focus ", bdi(label), "."],
  ].filter(Boolean);
  return part(3, ["Against the focus ", bdi(label)],
    tableOf(["Gain of ", bdi(label), " in metric units; positive: it is better"],
      ["Other method", "Gain", "95 % interval", "P(better)", "p", "p (Holm)"], lines),
    bulletList(notes));
}

/** How one comparison was tested. */
function procedure({ pairing, statistic, exact, splits, generator_seed: seed }) {
  if (splits === 0) return "No test without a common seed";
  const ways = pairing === "paired" ? "sign flips" : "splits";
  const drawn = exact ? `exact over ${counted(splits)} ${ways}` : `${counted(splits)} draws, generator seed ${seed}`;
  return `${pairing === "paired" ? "Paired" : "Unpaired"} permutation test of the ${statistic}, ${drawn}`;
}

function weightsPart(context, place, task) {
  const { board } = context;
  const own = task.weights[place];
  if (!own) return null;
  const label = board.rows[place].label;
  const partners = board.rows.map((row, k) => ({ row, k })).filter(({ row, k }) =>
    k !== place && task.weights[k] && (row.control_of === label || row.label === board.rows[place].control_of));
  const shown = [{ row: board.rows[place], k: place }, ...partners];
  const objectives = [...new Set(shown.flatMap(({ k }) => task.weights[k].objectives))];
  const columns = shown.map(({ k }) => seriesOf(task.weights[k], objectives));
  const range = [0, Math.min(1, rangeOf(columns.flat())[1])];
  const figures = shown.map(({ row, k }, index) => {
    const curve = task.weights[k];
    const options = { unit: curve.unit, held: curve.unit === "trial", level: 1 / curve.objectives.length, range };
    return make("figure", {},
      make("figcaption", {}, bdi(row.label), row.control_of ? " (null control)" : "", `, n = ${curve.seeds}`,
        curve.note && [". ", bdi(curve.note)]),
      linePlot(curve.steps, columns[index], options,
        `Objective weights of ${row.label} by ${curve.unit}; they end at ${columns[index].map((one) => `${one.label} ${fixed(one.mean.at(-1), 2)}`).join(", ")}.`));
  });
  return part(3, "Objective weights", make("div", { class: "figures" }, figures),
    make("p", { class: "quiet" }, "Mean ± sd over seeds; the thin line is an equal weight for all."),
    task.learned.filter((one) => one.row === label || one.control === label).map(learnedTable));
}

function seriesOf(curve, objectives) {
  return curve.objectives.map((label, k) => ({
    label,
    mean: curve.mean.map((row) => row[k]),
    sd: curve.sd?.map((row) => row[k]) ?? null,
    colour: objectives.indexOf(label) % 7,
  }));
}

function learnedTable(learned) {
  const against = learned.control ? [" and of its null control ", bdi(learned.control)] : "";
  const lines = learned.objectives.map((one) => [
    one.differs ? make("strong", {}, bdi(one.objective)) : bdi(one.objective),
    fixed(one.mean, 3),
    one.null_mean === null ? NOTHING : fixed(one.null_mean, 3),
    learned.no_verdict ? NOTHING : shownP(one.p_holm),
    learned.no_verdict ? NOTHING : one.differs ? "differs" : "not separated",
  ]);
  return [
    tableOf(["Final weights of ", bdi(learned.row), against], ["Objective", "Mean", "Null mean", "p (Holm)", "Verdict"], lines),
    bulletList([learned.no_verdict && ["No verdict: ", bdi(learned.no_verdict), "."], learned.note && bdi(learned.note)].filter(Boolean)),
  ];
}

function learningPart(context, place, task) {
  const curve = task.learning[place];
  if (!curve) return null;
  const series = [{ label: "validation", mean: curve.mean, sd: curve.sd, colour: 0 }];
  const options = { unit: curve.unit, held: false, range: rangeOf(series) };
  const last = curve.seeds.at(-1);
  const fewer = last < curve.seeds[0] ? ` Training stops early: ${curve.seeds[0]} seeds at the start, ${last} at the end.` : "";
  return part(3, "Learning curve",
    make("div", { class: "figures" }, make("figure", {}, linePlot(curve.done, series, options,
      `Validation ${task.metric_name} by ${curve.unit}, from ${fixed(curve.mean[0], task.decimals)} to ${fixed(curve.mean.at(-1), task.decimals)}.`))),
    make("p", { class: "quiet" }, `Validation ${task.metric_name}, mean ± sd over the seeds that got that far.${fewer}`));
}

function readoutsPart(task, place) {
  const found = Object.entries(task.entries[place].readouts);
  if (found.length === 0) return null;
  return part(3, "Other read-outs of the same cells", termList(found.map(([label, { mean: middle, sd: spread, n }]) =>
    [bdi(label), `${fixed(middle, task.decimals)}${spread === null ? "" : ` ± ${fixed(spread, task.decimals)}`} (${n})`])));
}

function costPart(task, place) {
  const { cost, budgets } = task.entries[place];
  if (!cost) return null;
  const spent = budgets.map((one) => Object.entries(one).map(([what, amount]) => `${counted(amount)} ${what.replaceAll("_", " ")}`).join(", "));
  return part(3, "Cost of one cell", termList([
    ["Relative to fine-tuning", cost.ratio === null ? null : `${cost.ratio.toFixed(2)} ×`],
    ["Own stages", seconds(cost.seconds)],
    ...Object.entries(cost.shared_seconds).map(([stage, time]) => [["Shared stage ", bdi(stage)], `${seconds(time)}, paid once for all tasks`]),
    ["Peak memory", memory(cost.peak_memory_bytes)],
    ["Examples per second", counted(Math.round(cost.examples_per_second))],
    ["Spent on the search", spent.join("; or ")],
  ]));
}

/** Provenance of one seed at a time, and the command that runs it again. */
function runPart(context, place, task) {
  const { runs } = task.entries[place];
  if (runs.seed.length === 0) return null;
  const shown = make("div", { "aria-live": "polite" });
  const fill = (k) => shown.replaceChildren(...oneRun(context, runs, task, k).filter(Boolean));
  const choice = make("select", { id: "detail-seed", onchange: () => fill(choice.selectedIndex) },
    runs.seed.map((seed) => make("option", {}, String(seed))));
  fill(0);
  return part(3, "Run it again", make("p", { class: "field" }, make("label", { for: "detail-seed" }, "Seed"), choice), shown);
}

function oneRun({ board, data }, runs, task, k) {
  const command = runs.command?.[k] || null;
  const folder = data.folders[runs.folder?.[k] ?? 0];
  const origin = board.origins[runs.origin?.[k]] ?? {};
  return [
    command && make("pre", { class: "command", tabindex: "0" }, command),
    command && copyButton(command),
    !command && make("p", { class: "quiet" }, "The record does not say which command ran it."),
    termList([
      ["Record", runs.file && bdi(`${folder}/${runs.file[k]}`)],
      ["Identity", bdi(runs.identity[k])],
      ["Split checksum", bdi(task.split_checksums[runs.seed[k]] ?? task.split_checksum)],
      ["Finished", runs.finished?.[k] && bdi(runs.finished[k])],
      ...Object.entries(origin).map(([what, text]) => [bdi(what), bdi(text)]),
    ]),
  ];
}

function copyButton(text) {
  const said = make("span", { role: "status", class: "quiet" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = " Copied.";
    } catch {
      said.textContent = " The browser does not allow it; select the command and copy it.";
    }
  };
  return make("p", {}, make("button", { type: "button", class: "plain", onclick: copy }, "Copy the command"), said);
}
