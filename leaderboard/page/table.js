"use strict";
// The score table: methods by tasks.

const ORDER = { score: null, removed: true, rank: false, cost: false }; // whether more is better; null: as the metric

/** The table for a context. choose(change): changes the state. */
function scoreTable(context, choose) {
  const { board, tasks, state } = context;
  const columns = [aggregateColumn(context), ...tasks.map((task) => taskColumn(context, task))].filter(Boolean);
  const heads = [{ key: "method", title: "Method" }, ...columns].map((column) => headOf(column, state, choose));
  const table = make("table", { id: "scores", class: "scores" });
  table.append(make("caption", {}, captionOf(context)), make("thead", {}, make("tr", {}, heads)));
  const groups = groupsOf(context);
  for (const group of groups) {
    const body = make("tbody", { class: group.kind });
    if (group.title) {
      body.append(make("tr", {}, make("th", { scope: "rowgroup", class: "group" }, group.title),
        make("td", { colspan: columns.length || null })));
    }
    const sorted = sortedRows(group.rows, columns, state);
    body.append(...sorted.map((row) => make("tr", { class: row.place === context.focus ? "focus" : null },
      headOfRow(context, row), columns.map((column) => column.cell(row, choose)))));
    table.append(body);
  }
  rove(table);
  return make("div", { class: "scroll wide", role: "region", "aria-label": "Score table" }, table);
}

/** Methods, then controls, then published rows: each group is sorted by itself. */
function groupsOf(context) {
  const { board, state, tasks } = context;
  const words = state.filter.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const fits = (text) => words.length === 0 || words.some((word) => text.toLowerCase().includes(word));
  const ours = board.rows.map((row, place) => ({ place, label: row.label, row })).filter(({ label }) => fits(label));
  const groups = [{ kind: "methods", rows: ours.filter(({ row }) => !row.control_of) }];
  const controls = ours.filter(({ row }) => row.control_of);
  if (state.controls && controls.length > 0) {
    groups.push({ kind: "controls", title: "Null controls, outside every mark", rows: controls });
  }
  const names = new Set(tasks.map((task) => task.task));
  const published = board.published.flatMap((table) => table.rows
    .filter((row) => row.scores.some((score) => names.has(score.task)) && fits(`${row.name} ${row.method}`))
    .map((row) => ({ place: -1, label: row.name, published: row, table })));
  if (state.published && state.view === "score" && published.length > 0) {
    groups.push({ kind: "published", title: "Published, outside every test", rows: published });
  }
  return groups;
}

function sortedRows(rows, columns, { sort, direction }) {
  const column = columns.find(({ key }) => key === sort);
  if (direction === "" || (!column && sort !== "method")) return rows;
  const turn = direction === "ascending" ? 1 : -1;
  if (sort === "method") return [...rows].sort((a, b) => turn * a.label.localeCompare(b.label, "en"));
  const valued = rows.map((row) => [row, column.value(row)]);
  const present = valued.filter(([, value]) => value !== null).sort((a, b) => turn * (a[1] - b[1]));
  return [...present, ...valued.filter(([, value]) => value === null)].map(([row]) => row);
}

/** A head: a button that sorts best first, then the other way, then as planned. */
function headOf(column, state, choose) {
  const best = column.key === "method" || !column.higher ? "ascending" : "descending";
  const other = best === "ascending" ? "descending" : "ascending";
  const now = state.sort === column.key ? state.direction : "";
  const next = { "": best, [best]: other, [other]: "" }[now];
  const arrow = { "": "", ascending: "↑", descending: "↓" }[now];
  return make("th", { scope: "col", "aria-sort": now || "none" },
    make("button", { type: "button", "data-key": `sort ${column.key}`, title: column.note ?? null,
      onclick: () => choose({ sort: next && column.key, direction: next }) },
    make("span", { class: "title" }, bdi(column.title)),
    make("span", { class: "arrow", "aria-hidden": "true" }, arrow),
    column.subtitle && make("small", {}, column.subtitle)));
}

function headOfRow(context, row) {
  if (row.published) {
    const source = `${row.table.source}${row.table.n ? `, n = ${row.table.n}` : ""}`;
    return make("th", { scope: "row", title: row.label }, make("span", { class: "method" }, bdi(row.label)),
      make("small", {}, bdi(source)));
  }
  const note = row.place === context.focus ? "focus" : row.row.control_of ? ["control of ", bdi(row.row.control_of)] : null;
  return make("th", { scope: "row", title: row.label }, make("span", { class: "method" }, bdi(row.label)),
    note && make("small", {}, note));
}

/** One task in the chosen view. */
function taskColumn(context, task) {
  const { view } = context.state;
  const higher = ORDER[view] ?? task.higher_is_better;
  const shown = (row) => (row.published ? publishedCell(row, task) : VIEW_CELLS[view](context, task, row.place));
  return {
    key: task.task,
    title: task.name,
    subtitle: view === "score" ? `${task.metric_name} ${task.higher_is_better ? "↑" : "↓"}` : null,
    note: `${task.task}: ${task.metric_name}, ${task.higher_is_better ? "larger" : "smaller"} is better`,
    higher,
    value: (row) => shown(row)?.value ?? null,
    cell: (row, choose) => {
      const content = shown(row);
      if (row.published) return make("td", { class: "printed" }, content ? inside(content) : NOTHING);
      const words = content ? inside(content) : make("span", { class: "lacking" }, absence(context.board, task, row.place));
      return make("td", {}, make("button", { type: "button", class: "cell", tabindex: "-1",
        "data-key": `cell ${row.place} ${task.task}`, "aria-haspopup": "dialog",
        onclick: () => choose({ row: row.label, task: task.task }) }, words));
    },
  };
}

function inside({ text, small, bold, signs }) {
  const number = make(bold ? "strong" : "span", {}, text);
  return [make("span", { class: "number" }, number, signs && make("span", { class: "signs" }, signs)),
    small && make("small", {}, small)];
}

const VIEW_CELLS = { score: scoreCell, removed: removedCell, rank: rankCell, cost: costCell };

function scoreCell(context, task, place) {
  const entry = task.entries[place];
  const found = summaryOf(entry, context.seeds);
  if (!found) return null;
  const spread = found.sd === null ? "" : `± ${fixed(found.sd, task.decimals)} `;
  return { value: found.mean, text: fixed(found.mean, task.decimals), small: `${spread}(${found.n})`,
    ...standing(context, task, place) };
}

function removedCell(context, task, place) {
  const found = removedOn(context, task, place);
  if (found === null) return null;
  return { value: found.value, text: percent(found.value), small: between(found), ...standing(context, task, place) };
}

function rankCell(context, task, place) {
  const value = context.ranks.get(task)[place];
  if (value === null) return null;
  const small = fixed(summaryOf(task.entries[place], context.seeds).mean, task.decimals);
  return { value, text: String(value), small, ...standing(context, task, place) };
}

function costCell(_, task, place) {
  const { cost } = task.entries[place];
  if (!cost) return null;
  const text = cost.ratio === null ? seconds(cost.seconds) : `${cost.ratio.toFixed(2)} ×`;
  const small = `${cost.ratio === null ? "" : `${seconds(cost.seconds)}, `}${memory(cost.peak_memory_bytes)}`;
  return { value: cost.ratio ?? cost.seconds, text, small };
}

/** Bold and signs, which belong to all seeds: with some seeds hidden there are none. */
function standing(context, task, place) {
  const entry = task.entries[place];
  const signs = [];
  if ((entry.summary?.n ?? 0) < entry.planned) signs.push(sign("†", "fewer seeds than planned", "dagger"));
  if (!entry.published) signs.push(sign("°", "no paper evaluates this combination", "ours"));
  if (context.seeds) return { bold: false, signs };
  const mark = context.verdicts.get(task).rows.get(place)?.mark;
  if (mark === "better") signs.push(sign("▲", "better than the focus method", "better"));
  if (mark === "worse") signs.push(sign("▼", "worse than the focus method", "worse"));
  return { bold: entry.tied_with_best, signs };
}

/** A printed number, in our units where the paper counts in percent. */
function publishedCell({ published, table }, task) {
  const found = published.scores.find((score) => score.task === task.task);
  if (!found) return null;
  const unit = table.units === "percent" ? 100 : 1;
  const spread = found.sd === null ? null : `± ${fixed(found.sd / unit, task.decimals)}`;
  const other = found.metric !== task.metric && found.metric !== task.metric_name ? ` ${found.metric}` : "";
  return { value: found.value / unit, text: fixed(found.value / unit, task.decimals), small: `${spread ?? ""}${other}` };
}

/** What the suite says of a row, in the chosen view; nothing over several suites, or with seeds hidden. */
function aggregateColumn(context) {
  const { suite, state } = context;
  const kinds = {
    score: ["Mean", "of tasks", true, (row) => plainValue(row.mean_score, (mean_) => fixed(mean_, 3))],
    removed: ["IQM", "95 %", true, (row) => row.iqm && { value: row.iqm.value, text: percent(row.iqm.value),
      small: between(row.iqm) }],
    rank: ["Average rank", null, false, (row) => plainValue(row.average_rank, (rank) => rank.toFixed(2))],
  };
  if (!suite || context.seeds || !kinds[state.view]) return null;
  const [title, subtitle, better, read] = kinds[state.view];
  const shown = (row) => (row.published || !suite.rows[row.place] ? null : read(suite.rows[row.place]));
  if (!suite.rows.some((row) => row && read(row))) return null;
  const higher = state.view === "score" ? context.tasks[0].higher_is_better : better;
  return { key: "aggregate", title, subtitle, higher, value: (row) => shown(row)?.value ?? null,
    cell: (row) => make("td", { class: "aggregate" }, aggregateCell(shown(row), row, suite)) };
}

const plainValue = (number, write) => (number === null ? null : { value: number, text: write(number) });

function aggregateCell(content, row, suite) {
  if (content) return inside(content);
  const missing = suite.rows[row.place]?.missing ?? [];
  if (missing.length === 0) return NOTHING;
  return make("small", { title: `without a record: ${missing.join(", ")}` }, `${missing.length} missing`);
}

/** Arrow keys move between the cells of the table, which is one stop for the tab key. */
function rove(table) {
  const lines = () => [...table.rows].map((row) => [...row.querySelectorAll("button.cell")]).filter((line) => line.length);
  const first = table.querySelector("button.cell");
  if (first) first.tabIndex = 0;
  table.addEventListener("focusin", ({ target }) => {
    if (!target.matches("button.cell")) return;
    for (const cell of table.querySelectorAll("button.cell[tabindex='0']")) cell.tabIndex = -1;
    target.tabIndex = 0;
  });
  table.addEventListener("keydown", (event) => {
    if (!event.target.matches("button.cell")) return;
    const grid = lines();
    const y = grid.findIndex((line) => line.includes(event.target));
    const x = grid[y].indexOf(event.target);
    const moves = {
      ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1], ArrowUp: [y - 1, x], ArrowDown: [y + 1, x],
      Home: [event.ctrlKey ? 0 : y, 0], End: [event.ctrlKey ? grid.length - 1 : y, grid[y].length - 1],
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    grid[move[0]]?.[move[1]]?.focus();
  });
}
