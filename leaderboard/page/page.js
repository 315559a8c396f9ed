"use strict";
// The start: controls change the state, the state is written into the address, and the page is drawn from it.

const DATA = JSON.parse(byId("data").textContent);
let state = null;
let drawnProtocol = null;
let opener = null; // the key of the cell that the dialog is about

/** Change the state and draw. A passing change (typing) takes the place of the address, others add one to go back to. */
function choose(change, passing = false) {
  const opens = Boolean(change.row);
  Object.assign(state, change);
  const write = passing ? "replaceState" : "pushState";
  history[write](opens ? { opened: true } : null, "", addressOf(state, DATA));
  render();
}

function render() {
  const context = contextOf(DATA, state);
  fillControls(context);
  byId("coverage").textContent = coverageOf(context.board);
  const focused = document.activeElement?.dataset?.key;
  byId("board").replaceChildren(scoreTable(context, choose));
  byId("notes").replaceChildren(notesOf(context));
  byId("suites").replaceChildren(...[context.seeds ? null : suitePart(context)].filter(Boolean));
  byId("sections").replaceChildren(...sectionsOf(context));
  said("status", statusOf(context));
  said("warning", warningOf(context));
  if (focused) focusOn(focused);
  renderDetail(context);
}

/** A live line is only touched when it changes, so that a screen reader says it once. */
function said(id, text) {
  const line = byId(id);
  if (line.textContent !== text) line.textContent = text;
  line.hidden = text === "";
}

function focusOn(key) {
  const again = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  again?.focus({ preventScroll: true });
}

function renderDetail(context) {
  const dialog = byId("detail");
  const place = context.board.rows.findIndex((row) => row.label === state.row);
  const task = context.board.tasks.find((one) => one.task === state.task);
  if (place < 0 || !task) return void dialog.close();
  opener = `cell ${place} ${task.task}`;
  dialog.replaceChildren(...detailOf(context, place, task, () => dialog.close()));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  byId("detail-title").focus();
}

/** However the dialog was closed (Esc, button, back), the address follows and the cell has the focus again. */
function detailClosed() {
  if (state.row !== "") {
    Object.assign(state, { row: "", task: "" });
    if (history.state?.opened) history.back();
    else history.replaceState(null, "", addressOf(state, DATA));
  }
  focusOn(opener);
}

function fillControls({ board }) {
  if (drawnProtocol !== state.protocol) {
    drawnProtocol = state.protocol;
    const suites = suitesOf(board);
    options("protocol", DATA.boards.map((one) => [one.protocol, one.protocol]));
    options("suite", [...suites.map((suite) => [suite, suite]), ...(suites.length > 1 ? [["", "all suites"]] : [])]);
    options("focus", board.rows.filter((row) => !row.control_of).map((row) => [row.label, row.label]));
    byId("protocol").closest(".field").hidden = DATA.boards.length < 2;
    byId("suite").closest(".field").hidden = suites.length < 2;
    byId("controls-shown").closest("label").hidden = !board.rows.some((row) => row.control_of);
    byId("published-shown").closest("label").hidden = board.published.length === 0;
    byId("seed-list").replaceChildren(...board.seeds.map((seed) => make("label", {},
      make("input", { type: "checkbox", value: String(seed), onchange: chooseSeeds }), ` ${seed}`)));
  }
  for (const id of ["protocol", "suite", "focus"]) byId(id).value = state[id] ?? "";
  if (document.activeElement !== byId("filter")) byId("filter").value = state.filter;
  for (const box of document.querySelectorAll("#views input")) box.checked = box.value === state.view;
  for (const box of document.querySelectorAll("#seed-list input")) {
    box.checked = !state.seeds || state.seeds.has(Number(box.value));
  }
  const count = state.seeds ? `${state.seeds.size} of ${board.seeds.length}` : `all ${board.seeds.length}`;
  document.querySelector("#seeds > summary").textContent = `Seeds: ${count}`;
  byId("controls-shown").checked = state.controls;
  byId("published-shown").checked = state.published;
}

function options(id, pairs) {
  byId(id).replaceChildren(...pairs.map(([key, text]) => make("option", { value: key }, text)));
}

function chooseSeeds() {
  const boxes = [...document.querySelectorAll("#seed-list input")];
  const chosen = boxes.filter((box) => box.checked).map((box) => Number(box.value));
  choose({ seeds: chosen.length === boxes.length ? null : new Set(chosen) });
}

function listen() {
  byId("views").append(...Object.entries(VIEWS).map(([key, text]) => make("label", {},
    make("input", { type: "radio", name: "view", value: key, onchange: () => choose({ view: key, sort: "", direction: "" }) }),
    ` ${text}`)));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("protocol").addEventListener("change", ({ target }) => {
    history.pushState(null, "", `#${new URLSearchParams({ protocol: target.value })}`);
    follow();
  });
  byId("suite").addEventListener("change", ({ target }) => choose({ suite: target.value, sort: "", direction: "" }));
  byId("focus").addEventListener("change", ({ target }) => choose({ focus: target.value }));
  byId("filter").addEventListener("input", ({ target }) => choose({ filter: target.value.trim() }, true));
  byId("controls-shown").addEventListener("change", ({ target }) => choose({ controls: target.checked }));
  byId("published-shown").addEventListener("change", ({ target }) => choose({ published: target.checked }));
  byId("all-seeds").addEventListener("click", () => choose({ seeds: null }));
  byId("detail").addEventListener("close", detailClosed);
  byId("detail").addEventListener("click", ({ target }) => target === byId("detail") && target.close());
  addEventListener("hashchange", follow);
}

function follow() {
  state = readState(DATA);
  render();
}

// Dark mode: as the system says, until the reader says otherwise. A browser may refuse to remember it.
function theme() {
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const remember = (one) => { try { localStorage.setItem("theme", one); } catch { /* it lasts until the page closes */ } };
  const show = (one) => {
    if (one === "dark" || one === "light") document.documentElement.dataset.theme = one;
    const dark = (one ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    byId("theme").textContent = dark ? "Light mode" : "Dark mode";
    byId("theme").onclick = () => { remember(dark ? "light" : "dark"); show(dark ? "light" : "dark"); };
  };
  show(remembered());
}

theme();
if (DATA.boards.length === 0) {
  byId("board").append(make("p", {}, "No records yet."));
  byId("sections").append(...[filesPart(DATA)].filter(Boolean));
} else {
  byId("controls").hidden = false;
  listen();
  follow();
}
performance.mark("rendered");
