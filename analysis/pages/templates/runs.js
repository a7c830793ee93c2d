// The chosen run with its settings and curves, and the table of runs.
"use strict";

const PAGE = 25, CURVES = DATA.curves;
const COLUMNS = RUNS.columns.map(one => ({ ...one, value: valuesOf(one) })), TABLE = COLUMNS.filter(one => one.shown);
// What is said of a run in a column; of a step that it did not reach, the last that was seen.
function text({ key, value, steps: isSteps }, i, by = "", notBy = "> ") {
  if (key === "regime") return value(i) + (labels[i].known ? "" : " so far");
  const from = isSteps && soonest(isSteps)[i], range = from < value(i) ? `${fmt(from)} – ` : "";
  return isSteps ? (value(i) < 0 ? notBy : by) + range + fmt(Math.abs(value(i))) : fmt(value(i));
}
const inWords = (column, i) => text(column, i, "step ", "not by step ");
const swatch = i => `<i class="swatch" style="background:${COLOURS[labels[i].regime]}"></i>`;

const curve = (name, i) => numbers(CURVES.columns[name]).subarray(...CURVES.start.slice(i, i + 2));
// Some columns of a run over log steps, and when it memorised and generalised, the time between shaded.
function chart(svg, i, kind) {
  const y = CURVES.axes[kind], u = curve("step", i), mem = steps("mem")[i], gen = steps("gen")[i];
  const place = placer([52, 8, ...boxIn(svg, 64, 32)], CURVES.steps, y), { px, py } = place;
  const { regime } = labels[i], across = t => Math.log(Math.max(Math.abs(t), 1)) / Math.log(CURVES.steps.last);
  const wait = rect(place, [across(mem), 0, across(gen), 1], `class="wait" fill="${COLOURS[regime]}"`);
  const events = [[mem, "train"], [gen, "val"]].filter(([t]) => t >= 0).map(([t, look]) =>
    `<path class="${look}" d="M${px(across(t))},${py(1)}V${py(0)}"/>`);
  const curves = CURVES.lines[kind].map(([name, look]) => {
    const points = Array.from(curve(name, i), (v, k) => v >= 0 ? `${px(u[k]).toFixed(1)},${py(v).toFixed(1)}` : "");
    return `<polyline class="${look}" points="${points.filter(Boolean).join(" ")}"/>`;
  });
  svg.innerHTML = [[1, 2].includes(regime) ? wait : "", ...events, ...curves, frame(place, CURVES.steps, y)].join("");
}
const hasCurves = i => i >= 0 && CURVES && CURVES.start[i + 1] > CURVES.start[i];
function showRun() {
  const i = chosen();
  if (i < 0) return;
  $("run-regime").innerHTML = swatch(i) + text(COLUMNS[1], i);
  all("#facts dd").forEach((fact, k) => { fact.textContent = inWords(COLUMNS[k + 2], i); });
  if (DATA.show) $("own-page").href = `${DATA.show}/${encodeURIComponent(state.run)}.html`;
  if (DATA.tracker) $("in-mlflow").href = DATA.tracker + encodeURIComponent(`tags.run_id = '${state.run}'`);
  if (hasCurves(i)) for (const svg of all("#charts svg")) chart(svg, i, svg.id === "measured" ? state.measure : svg.id);
}

// Every part between commas must be found in a run: as "seed 1", a column and its value, or as words anywhere.
function matches(i, parts) {
  return parts.every(part => {
    const [name, ...rest] = part.split(/[\s=:]+/), column = COLUMNS.find(one => one.key.toLowerCase() === name);
    const said = column && [fmt(column.value(i)), column.value(i)].map(v => `${v}`.toLowerCase());
    if (rest.length && column) return said.includes(rest.join(" "));
    return part.split(/\s+/).every(word => TABLE.some(one => `${one.value(i)}`.toLowerCase().includes(word)));
  });
}
let page = 0;
function fillTable() {
  const parts = state.filter.toLowerCase().split(/[,;]/).map(part => part.trim()).filter(Boolean);
  const down = state.sort.startsWith("-"), sort = COLUMNS.find(column => column.key === state.sort.replace("-", ""));
  const keys = IDS.map((_, i) => (sort.steps && sort.value(i) < 0 ? Infinity : sort.value(i)));
  const rows = [...keys.keys()].filter(i => matches(i, parts));
  rows.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b) * (down ? -1 : 1));
  page = Math.max(0, Math.min(page, Math.ceil(rows.length / PAGE) - 1));
  const from = page * PAGE, shown = rows.slice(from, from + PAGE), to = from + shown.length;
  $("count").textContent = rows.length ? `${fmt(from + 1)}–${fmt(to)} of ${fmt(rows.length)} runs` : "no run matches";
  $("previous").disabled = page === 0; $("next").disabled = from + PAGE >= rows.length;
  for (const { dataset, parentElement } of all("[data-sort]"))
    parentElement.ariaSort = dataset.sort !== sort.key ? "none" : down ? "descending" : "ascending";
  const cell = (column, i) => `<td>${column.key === "regime" ? swatch(i) : ""}${escapeHtml(text(column, i))}</td>`;
  const row = i => `<tr data-run="${i}" tabindex="0" class="${IDS[i] === state.run ? "chosen" : ""}">` +
    `${TABLE.map(column => cell(column, i)).join("")}</tr>`;
  $("runs").tBodies[0].innerHTML = shown.map(row).join("");
}
