// The chosen run with its curves, and the table of runs.
"use strict";

const PAGE = 25, SORTS = RUNS.categories.map(columnOf);
const COLUMNS = ["run", "regime", ...DATA.categories, ...AXES.map(a => a.short), "t_mem", "t_gen", "outcome"];
if (TABLE.seed) COLUMNS.push("seed");
const swatch = (colour, name) => `<i class="swatch" style="background:${colour}"></i>${name}`;
const stepText = (step, event) => `${event ? "step" : "not by step"} ${fmt(step)}`;
const CURVES = DATA.curves ? { step: new Uint32Array(bytesOf(DATA.curves.step).buffer) } : {};
function curve(name, i) {
  const field = DATA.curves.columns[name], [from, to] = DATA.curves.start.slice(i, i + 2);
  if (!CURVES[name]) CURVES[name] = field.log ? unpack(field).map(v => Math.pow(10, v)) : unpack(field);
  return CURVES[name].subarray(from, to);
}

const panelOf = id => `<svg id="${id}" role="img" aria-label="${id} over optimizer steps"></svg>`;
function showRun() {
  const i = state.chosen, panel = $("run");
  if (i < 0) return;
  const t = stepsAt(state.rule.threshold), regime = labels.regime[i], id = RUNS.id[i];
  const has = DATA.curves && DATA.curves.start[i + 1] > DATA.curves.start[i];
  const measures = has ? Object.keys(DATA.curves.columns).filter(n => !/^(train|val)_(loss|accuracy)$/.test(n)) : [];
  const facts = { memorised: stepText(t.mem[i], t.mem_event[i]), generalised: stepText(t.gen[i], t.gen_event[i]),
    ...Object.fromEntries(DATA.categories.map((name, k) => [name, SORTS[k](i)])),
    ...Object.fromEntries(AXES.map((axis, k) => [axis.label, PLACES[k][i]])),
    ...Object.fromEntries(Object.entries(TABLE).map(([name, value]) => [name, value(i)])) };
  const row = ([name, v]) => v === null || v === "" ? "" : `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(fmt(v))}</dd>`;
  const none = DATA.curves ? "Its curves are not on this page." :
    "These runs came without curves (a sweep's folder has them).";
  const kept = $("measure") ? $("measure").value : "", options = measures.map(n =>
    `<option${n === kept ? " selected" : ""}>${escapeHtml(n)}</option>`).join("");
  panel.innerHTML = `<h2>Run ${escapeHtml(id)}</h2><p>${swatch(COLOURS[regime], NAMES[regime])}` +
    `${labels.known[i] ? "" : " so far: it stopped before this budget"}</p>` +
    (has ? panelOf("accuracy") + panelOf("loss") : `<p class="note">${none}</p>`) +
    (options ? `<label for="measure">measure</label><select id="measure">${options}</select>` : "") +
    (options ? panelOf("measured") : "") +
    `<dl>${Object.entries(facts).map(row).join("")}</dl>` +
    (DATA.show ? `<pre>grokmap show ${escapeHtml(id)}</pre><p class="note" id="links"></p>` : "");
  panel.dataset.run = id;
  const own = Object.assign(document.createElement("a"), { textContent: "its own page" });
  own.href = `${DATA.show}/${encodeURIComponent(id)}.html`;
  if (DATA.show) $("links").append("writes ", own, ": all settings, and what is inside. In MLflow: ",
    Object.assign(document.createElement("code"), { textContent: `tags.run_id = '${id}'` }));
  if (has) drawCurves(i, t, regime, measures);
}

function drawCurves(i, t, regime, measures) {
  const from = DATA.curves.start[i], step = CURVES.step.subarray(from, DATA.curves.start[i + 1]);
  const x = { scale: "log", low: 1, high: Math.max(10, step[step.length - 1]) }, late = regime === 1 || regime === 2;
  const marks = [[t.mem, t.mem_event, TRAIN, "6 3"], [t.gen, t.gen_event, VAL, "none"]].filter(m => m[1][i])
    .map(m => ({ x: Math.max(1, m[0][i]), colour: m[2], dash: m[3] }));
  const shade = t.mem_event[i] && late &&
    { from: Math.max(1, t.mem[i]), to: Math.max(1, t.gen[i]), colour: COLOURS[regime] };
  const both = kind => [["train", TRAIN, "6 3"], ["val", VAL, "none"]].map(([split, colour, dash]) =>
    ({ x: step, y: curve(`${split}_${kind}`, i), colour, dash }));
  const losses = both("loss"), y = { scale: "linear", low: 0, high: 1.04, ticks: [0, 0.25, 0.5, 0.75, 1] };
  const title = "accuracy: training dashed, validation solid";
  curves($("accuracy"), { title, x, y, lines: both("accuracy"), marks, shade });
  curves($("loss"), { title: "loss", x, y: spanOf(losses.flatMap(l => [...l.y]), "log"), lines: losses, marks, shade });
  const draw = () => {
    const name = $("measure").value, line = { x: step, y: curve(name, i), colour: "#4f8a64", dash: "none" };
    curves($("measured"), { title: `${name} over steps`, x, y: spanOf([...line.y], "linear"), lines: [line] });
  };
  if (measures.length) { $("measure").onchange = draw; draw(); }
}

function cell(name, i) {
  const k = AXES.findIndex(a => a.short === name), t = stepsAt(state.rule.threshold);
  if (k >= 0) return PLACES[k][i];
  if (DATA.categories.includes(name)) return SORTS[DATA.categories.indexOf(name)](i);
  if (name === "t_mem") return t.mem_event[i] ? t.mem[i] : Infinity;
  if (name === "t_gen") return t.gen_event[i] ? t.gen[i] : Infinity;
  if (name === "regime") return NAMES[labels.regime[i]];
  return name === "run" ? RUNS.id[i] : name === "outcome" ? outcomeOf(i) : TABLE[name](i);
}
function cellText(name, i) {
  const v = cell(name, i), t = stepsAt(state.rule.threshold);
  if (name === "regime") return swatch(COLOURS[labels.regime[i]], v) + (labels.known[i] ? "" : " ?");
  return v === Infinity ? `&gt; ${fmt((name === "t_mem" ? t.mem : t.gen)[i])}` : escapeHtml(fmt(v));
}
// Every part between commas must be found in a run: as "seed 1", a column and its value, or as words anywhere.
function matches(i, parts) {
  return parts.every(part => {
    const [name, ...rest] = part.split(/[\s=:]+/), value = rest.join(" ");
    const said = v => v.toLowerCase() === value;
    if (value && COLUMNS.includes(name)) return [fmt(cell(name, i)), String(cell(name, i))].some(said);
    const words = COLUMNS.map(c => String(cell(c, i)).toLowerCase());
    return part.split(/\s+/).every(word => words.some(v => v.includes(word)));
  });
}
function fillTable() {
  const parts = state.filter.toLowerCase().split(/[,;]/).map(p => p.trim()).filter(Boolean);
  const rows = Array.from({ length: COUNT }, (_, i) => i).filter(i => matches(i, parts)), keys = [];
  for (const i of rows) keys[i] = cell(state.sort, i);
  rows.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b) * (state.down ? -1 : 1));
  state.page = Math.max(0, Math.min(state.page, Math.ceil(rows.length / PAGE) - 1));
  const from = state.page * PAGE, shown = rows.slice(from, from + PAGE), total = rows.length.toLocaleString("en-US");
  $("count").textContent = rows.length ? `${from + 1}–${from + shown.length} of ${total} runs` : "no run matches";
  $("previous").disabled = state.page === 0; $("next").disabled = from + PAGE >= rows.length;
  $("runs").tHead.innerHTML = `<tr>${COLUMNS.map(c => {
    const order = state.sort !== c ? "none" : state.down ? "descending" : "ascending", name = escapeHtml(c);
    const arrow = { none: "", ascending: " ↑", descending: " ↓" }[order];
    return `<th aria-sort="${order}"><button type="button" data-sort="${name}">${name}${arrow}</button></th>`;
  }).join("")}</tr>`;
  $("runs").tBodies[0].innerHTML = shown.map(i =>
    `<tr data-run="${i}" tabindex="0"${i === state.chosen ? ' class="chosen"' : ""}>` +
    `${COLUMNS.map(c => `<td>${cellText(c, i)}</td>`).join("")}</tr>`).join("");
}
function bindTable() {
  $("filter").oninput = e => { state.filter = e.target.value; state.page = 0; tableSoon(); };
  for (const [id, by] of [["previous", -1], ["next", 1]]) $(id).onclick = () => { state.page += by; fillTable(); };
  $("runs").tHead.onclick = e => {
    const column = e.target.dataset.sort;
    if (!column) return;
    state.down = state.sort === column && !state.down; state.sort = column;
    fillTable();
    $("runs").querySelector(`[data-sort="${column}"]`).focus();
  };
  $("runs").tBodies[0].onclick = $("runs").tBodies[0].onkeydown = e => {
    const row = e.target.closest("tr");
    if (row && (e.type === "click" || e.key === "Enter")) choose(+row.dataset.run);
  };
}
