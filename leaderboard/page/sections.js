"use strict";
// What stands below the tables: what lacks, published tables, pictures, software.

function sectionsOf(context) {
  const { board, data } = context;
  return [lackingPart(board), publishedPart(context), publishedCostsPart(context), picturesPart(context), filesPart(data), softwarePart(board, data)]
    .filter(Boolean);
}

function lackingPart(board) {
  const lines = (items, kind) =>
    items.map((item) => [bdi(item.row), bdi(item.task), ranges(item.seeds), kind, item.reason ? bdi(item.reason) : NOTHING]);
  const all = [...lines(board.failed, "failed"), ...lines(board.missing, "missing")];
  return all.length > 0 && part(2, "Missing and failed cells",
    tableOf("Cells without a record", ["Method", "Task", "Seeds", "State", "Reason"], all));
}

function publishedPart({ board, tasks }) {
  const names = new Set(tasks.map((task) => task.task));
  const shown = board.published.filter((table) => table.rows.some((row) => row.scores.some((score) => names.has(score.task))));
  return shown.length > 0 && part(2, "Published tables", make("p", { class: "quiet" },
    "As their papers print them; they take part in no test. Where a paper counts in percent, the table above divides by 100."),
  shown.map((table) => make("details", {},
    make("summary", {}, bdi(table.paper), ", ", bdi(table.source), table.flags.length > 0 ? ` (${table.flags.length} contradicted by the table itself)` : ""),
    termList([["Runs", table.n === null ? "the paper does not say" : String(table.n)], ["±", bdi(table.spread)], ["Units", bdi(table.units)]]),
    bulletList([...table.flags.map((text) => [make("strong", {}, "The table contradicts a claim: "), bdi(text)]),
      ...table.differences.map((text) => ["Differs from ours: ", bdi(text)])]))));
}

function publishedCostsPart({ board }) {
  const shown = board.published_costs ?? [];
  return shown.length > 0 && part(2, "Published costs", tableOf("Relative to fine-tuning = 1, as their papers print them",
    ["Method", "Cost", "Source", "Note"], shown.map((one) =>
      [bdi(one.name), one.low === one.high ? `${one.low} ×` : `${one.low} to ${one.high} ×`, bdi(one.source), bdi(one.note)])));
}

function picturesPart({ board, tasks, suite }) {
  const subjects = new Set([...tasks.flatMap((task) => [task.task, task.suite]), suite?.suite]);
  const shown = board.pictures.filter((one) => subjects.has(one.subject));
  return shown.length > 0 && part(2, "Pictures", shown.map((one) => make("details", {},
    make("summary", {}, bdi(one.title)),
    make("img", { src: encodeURI(one.file).replaceAll("#", "%23").replaceAll("?", "%3F"), alt: one.description, loading: "lazy" }))));
}

function filesPart(data) {
  const listOf = (title, items) => items.length > 0 && make("details", {},
    make("summary", {}, `${title} (${items.length})`), bulletList(items.map((item) => bdi(item))));
  const skipped = data.skipped.map((pair) => `${pair.method} on ${pair.task}: ${pair.reason}`);
  return part(2, "Left out",
    listOf("Skipped: the pair does not fit", skipped),
    listOf("Damaged files: no whole records", data.damaged),
    listOf("Set aside: the plan, or a record, has another identity for their cells", data.set_aside));
}

function softwarePart(board, data) {
  const lines = Object.entries(board.software).map(([what, values]) => [bdi(what), values.map((text, k) => [k > 0 && ", ", bdi(text)])]);
  return part(2, "Where it comes from", termList([
    ["Folder", data.folders.map((folder, k) => [k > 0 && ", ", bdi(folder)])],
    ["Seeds", ranges(board.seeds)],
    ...lines,
  ]));
}
