// Controls, the chosen run and the table of runs.
"use strict";

const logSlider = (low, high) => ({ to: v => Math.round(1000 * Math.log(v / low) / Math.log(high / low)), from: s => low * Math.pow(high / low, s / 1000) });
const LIMIT = DATA.budget_limit, BUDGET = logSlider(Math.max(1, LIMIT / 1000), LIMIT), GAP = logSlider(1, LIMIT), RATIO = logSlider(1, 1000);
const round3 = v => +v.toPrecision(3);
const escapeHtml = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);

function buildAxes() {
  const holder = $("axis-choice"), option = (k, chosen) => `<option value="${k}"${k === chosen ? " selected" : ""}>${escapeHtml(AXES[k].label)}</option>`;
  if (AXES.length < 2) { holder.innerHTML = `<p class="note">${escapeHtml(AXES[0].label)}</p>`; }
  else {
    const all = AXES.map((_, k) => k);
    holder.innerHTML = `<span><label for="axis-x">across</label><select id="axis-x">${all.map(k => option(k, state.ix))}</select></span><span><label for="axis-y">up</label><select id="axis-y">${all.map(k => option(k, state.iy))}</select></span>`;
    const change = (own, other) => event => { const k = +event.target.value; if (state[other] === k) state[other] = state[own]; state[own] = k; buildAxes(); refresh(); };
    $("axis-x").onchange = change("ix", "iy"); $("axis-y").onchange = change("iy", "ix");
  }
  $("slices").innerHTML = AXES.map((axis, k) => k === state.ix || k === state.iy ? "" : `<label for="slice-${k}">${escapeHtml(axis.label)} <output id="slice-value-${k}"></output></label><input type="range" id="slice-${k}" min="0" max="${axis.n - 1}" step="0.1" value="${state.held[k]}">`).join("");
  $("all-runs-label").hidden = AXES.length < 3;
  $("bands-label").hidden = AXES.length < 2;
  $("layer-choice").hidden = AXES.length < 2;
  AXES.forEach((_, k) => {
    const slider = $(`slice-${k}`);
    if (!slider) return;
    const show = () => { $(`slice-value-${k}`).textContent = fmt(heldValue(k)); };
    slider.oninput = () => { const v = +slider.value; state.held[k] = zeroOffset(k) && v < 1 ? (v < 0.5 ? 0 : 1) : v; show(); refresh(); };
    show();
  });
}

function showRule() {
  const s = state.rule;
  $("threshold").max = DATA.thresholds.length - 1; $("threshold").value = DATA.thresholds.indexOf(s.threshold); $("threshold").disabled = DATA.thresholds.length < 2;
  $("threshold-note").textContent = DATA.thresholds.length < 2 ? "These runs carry milestones at one threshold only." : "";
  $("threshold-value").textContent = s.threshold; $("budget").value = BUDGET.to(s.budget); $("budget-value").textContent = fmt(s.budget);
  const gap = s.gap !== null;
  $("form").value = gap ? "gap" : "ratio"; $("delay-name").textContent = gap ? "gap, steps" : "ratio";
  $("delay").value = gap ? GAP.to(Math.max(s.gap, 1)) : RATIO.to(s.ratio); $("delay-value").textContent = gap ? fmt(s.gap) : `× ${fmt(s.ratio)}`;
}

function bindRule() {
  const change = f => event => { f(event.target); showRule(); refresh(); };
  $("threshold").oninput = change(e => { state.rule.threshold = DATA.thresholds[+e.value]; });
  $("budget").oninput = change(e => { state.rule.budget = +e.value === 1000 ? LIMIT : Math.round(round3(BUDGET.from(+e.value))); });
  $("delay").oninput = change(e => { if (state.rule.gap !== null) state.rule.gap = Math.round(round3(GAP.from(+e.value))); else state.rule.ratio = round3(RATIO.from(+e.value)); });
  $("form").onchange = change(e => {
    const own = DATA.rule, gap = e.value === "gap";
    state.rule.gap = gap ? own.gap ?? Math.max(1, Math.round(LIMIT / 100)) : null; state.rule.ratio = gap ? null : own.ratio ?? 5;
  });
  $("reset").onclick = () => { state.rule = { ...DATA.rule }; showRule(); refresh(); };
  $("layer").onchange = e => { state.layer = e.target.value; refresh(); };
  for (const [id, key] of [["show-bands", "bands"], ["show-runs", "runs"], ["all-runs", "all"]]) $(id).onchange = e => { state[key] = e.target.checked; refresh(); };
}

function buildLegend() {
  const swatch = (style, text) => `<span><i class="swatch" style="${style}"></i>${text}</span>`, marks = { generalised: "generalised", censored: "censored: memorised, not generalised", confused: "censored: not even memorised", uncertain: "stopped before the budget", unstable: "unstable", failed: "diverged or failed" }, kinds = new Set(labels.map((_, i) => markKind(i)));
  const scale = SCALARS[state.layer] && SCALARS[state.layer].ends;
  $("legend").innerHTML = (scale ? `<span>${scale[0]} <i class="swatch" style="width:110px;background:linear-gradient(90deg,${STOPS.map(c => `rgb(${c})`)})"></i> ${scale[1]}</span>` : "") +
    NAMES.map((n, k) => swatch(`background:${DATA.colours[k]}`, n)).join("") + Object.entries(marks).filter(([kind]) => kinds.has(kind)).map(([kind, text]) => `<span><canvas data-kind="${kind}" style="width:16px;height:16px;display:inline-block"></canvas>${text}</span>`).join("");
  for (const canvas of $("legend").querySelectorAll("canvas")) { const { g } = fitCanvas(canvas); drawMark(g, 8, 8, 4.5, "#b9bec7", canvas.dataset.kind); }
}

const nearest = (x, y) => placed.reduce((best, d) => { const r = Math.hypot(d.x - x, d.y - y) + (d.far ? 3 : 0); return r < best.r ? { r, d } : best; }, { r: 11, d: null }).d;
function pointer(event) { const box = $("map").getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; }

function runText(i) {
  const t = RUNS.milestones[state.rule.threshold], step = (s, e) => e ? `step ${fmt(s)}` : `not by step ${fmt(s)}`;
  return `${NAMES[labels[i].regime]}${labels[i].known ? "" : " so far"}\nmemorised: ${step(t.mem[i], t.mem_event[i])}\ngeneralised: ${step(t.gen[i], t.gen_event[i])}`;
}
function bindMap() {
  const map = $("map"), tip = $("tip");
  map.onmousemove = event => {
    const [x, y] = pointer(event), { px, py } = geometry(map.clientWidth, map.clientHeight), hit = state.runs ? nearest(x, y) : null;
    const u = (x - px(0)) / (px(1) - px(0)), v = (y - py(0)) / (py(1) - py(0)), inside = u >= 0 && u <= 1 && v >= 0 && v <= 1;
    if (!hit && !inside) { tip.hidden = true; return; }
    const o = 4 * (Math.round((state.iy < 0 ? 0 : v) * (scene.m - 1)) * R + Math.round(u * (R - 1)));
    tip.textContent = hit ? `${AXES.map((a, k) => `${a.short} ${fmt(RUNS.axes[k][hit.i])}`).join("  ")}\n${runText(hit.i)}` :
      `${AXES[state.ix].short} ${fmt(valueAt(AXES[state.ix], u))}${state.iy < 0 ? "" : `  ${AXES[state.iy].short} ${fmt(valueAt(AXES[state.iy], v))}`}\n${NAMES.map((n, k) => `${(100 * scene.p[o + k]).toFixed(0).padStart(3)} %  ${n}`).join("\n")}`;
    tip.hidden = false;
    tip.style.left = `${Math.min(x + 14, map.clientWidth - tip.offsetWidth - 4)}px`; tip.style.top = `${Math.min(y + 14, map.clientHeight - tip.offsetHeight - 4)}px`;
    map.style.cursor = hit ? "pointer" : "crosshair";
  };
  map.onmouseleave = () => { tip.hidden = true; };
  map.onclick = event => { const hit = state.runs && nearest(...pointer(event)); if (hit) choose(hit.i); };
  map.onkeydown = event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); choose((Math.max(state.chosen, step > 0 ? -1 : 0) + step + N_RUNS) % N_RUNS); }
  };
}

function choose(i) { state.chosen = i; drawMap(); showRun(i); fillTable(); }

const CURVES = DATA.curves ? { step: new Uint32Array(bytesOf(DATA.curves.step).buffer), columns: {} } : null;
function curve(name, i) {
  const from = DATA.curves.start[i], to = DATA.curves.start[i + 1];
  if (name === "step") return CURVES.step.subarray(from, to);
  if (!CURVES.columns[name]) { const field = DATA.curves.columns[name], all = unpack(field); CURVES.columns[name] = field.log ? all.map(v => Math.pow(10, v)) : all; }
  return CURVES.columns[name].subarray(from, to);
}

function showRun(i) {
  const panel = $("run"), t = RUNS.milestones[state.rule.threshold], l = labels[i], rows = Object.entries(RUNS.table).filter(([, values]) => values[i] !== null && values[i] !== "");
  const has = DATA.curves && DATA.curves.start[i + 1] > DATA.curves.start[i], measures = has ? Object.keys(DATA.curves.columns).filter(n => !/^(train|val)_(loss|accuracy)$/.test(n)) : [];
  const before = panel.querySelector("#measure"), chosen = before ? before.value : measures[0];
  panel.innerHTML = `<h3>Run ${escapeHtml(RUNS.id[i])}</h3><span class="badge" style="background:${DATA.colours[l.regime]};color:${DATA.inks[l.regime]}">${NAMES[l.regime]}</span> <span class="note">${l.known ? "" : "so far: it stopped before this budget"}</span>
    ${has ? `<canvas id="accuracy"></canvas><canvas id="loss"></canvas>${measures.length ? `<label for="measure">measure</label><select id="measure">${measures.map(n => `<option${n === chosen ? " selected" : ""}>${escapeHtml(n)}</option>`).join("")}</select><canvas id="measured"></canvas>` : ""}` : `<p class="note">${DATA.curves ? "This run has no curves." : "These runs came without curves (a sweep's folder has them)."}</p>`}
    <dl><dt>memorised</dt><dd>${t.mem_event[i] ? `step ${fmt(t.mem[i])}` : `not by step ${fmt(t.mem[i])} (censored)`}</dd><dt>generalised</dt><dd>${t.gen_event[i] ? `step ${fmt(t.gen[i])}` : `not by step ${fmt(t.gen[i])} (censored)`}</dd>${rows.map(([k, values]) => `<dt>${escapeHtml(k)}</dt><dd>${escapeHtml(typeof values[i] === "number" ? fmt(values[i]) : values[i])}</dd>`).join("")}</dl>`;
  panel.dataset.run = RUNS.id[i];
  if (!has) return;
  const step = curve("step", i), x = { low: 1, high: Math.max(10, step[step.length - 1]) }, dash = [6, 3];
  const marks = [[t.mem, t.mem_event, TRAIN, dash], [t.gen, t.gen_event, VAL, []]].filter(m => m[1][i]).map(m => ({ x: Math.max(1, m[0][i]), colour: m[2], dash: m[3] }));
  const shade = t.mem_event[i] && l.regime >= 1 && l.regime <= 2 ? { from: Math.max(1, t.mem[i]), to: Math.max(1, t.gen[i]), colour: DATA.colours[l.regime] } : null;
  const panelOn = (id, title, y, lines) => { const { g, w, h } = fitCanvas($(id)); linePanel(g, { box: [52, 20, w - 64, h - 44], x, y, title, lines, marks, shade, xLabels: true }); };
  const both = kind => [{ x: step, y: curve(`train_${kind}`, i), colour: TRAIN, dash }, { x: step, y: curve(`val_${kind}`, i), colour: VAL }];
  const losses = both("loss"), [low, high] = range([...losses[0].y, ...losses[1].y], true);
  panelOn("accuracy", "accuracy: training dashed, validation solid", { low: 0, high: 1.04 }, both("accuracy"));
  panelOn("loss", "loss", { low, high, log: true }, losses);
  if (!measures.length) return;
  const draw = () => { const name = $("measure").value, y = curve(name, i), [a, b] = range(y, false); panelOn("measured", `${name} over optimizer steps`, { low: a, high: b }, [{ x: step, y, colour: "#3f6b4f" }]); };
  $("measure").onchange = draw; draw();
}

const PAGE = 25, COLUMNS = ["run", "regime", ...AXES.map(a => a.short), "t_mem", "t_gen", "outcome", ...Object.keys(RUNS.table).filter(k => k === "seed")];
function cell(name, i) {
  const t = RUNS.milestones[state.rule.threshold], k = AXES.findIndex(a => a.short === name);
  if (k >= 0) return RUNS.axes[k][i];
  return { run: () => RUNS.id[i], regime: () => NAMES[labels[i].regime], t_mem: () => t.mem_event[i] ? t.mem[i] : Infinity, t_gen: () => t.gen_event[i] ? t.gen[i] : Infinity, outcome: () => RUNS.outcome[i], seed: () => RUNS.table.seed[i] }[name]();
}
function cellText(name, i) {
  const v = cell(name, i), t = RUNS.milestones[state.rule.threshold];
  if (name === "regime") return `<span class="badge" style="background:${DATA.colours[labels[i].regime]};color:${DATA.inks[labels[i].regime]}">${v}</span>${labels[i].known ? "" : " ?"}`;
  if (v === Infinity) return `&gt; ${fmt((name === "t_mem" ? t.mem : t.gen)[i])}`;
  return escapeHtml(typeof v === "number" ? fmt(v) : v);
}
function fillTable() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  let rows = Array.from({ length: N_RUNS }, (_, i) => i).filter(i => { if (!words.length) return true; const text = COLUMNS.map(c => `${c} ${cell(c, i)}`).join(" ").toLowerCase(); return text.includes(words.join(" ")) || words.every(w => text.includes(w)); });
  const key = i => cell(state.sort, i);
  rows.sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : a - b) * (state.down ? -1 : 1); });
  state.page = Math.max(0, Math.min(state.page, Math.ceil(rows.length / PAGE) - 1));
  const from = state.page * PAGE, shown = rows.slice(from, from + PAGE);
  $("count").textContent = rows.length ? `${from + 1}–${from + shown.length} of ${rows.length} runs` : "no run matches";
  $("previous").disabled = state.page === 0; $("next").disabled = from + PAGE >= rows.length;
  $("runs").tHead.innerHTML = `<tr>${COLUMNS.map(c => `<th aria-sort="${state.sort === c ? (state.down ? "descending" : "ascending") : "none"}"><button type="button" data-sort="${escapeHtml(c)}">${escapeHtml(c)}${state.sort === c ? (state.down ? " ↓" : " ↑") : ""}</button></th>`).join("")}</tr>`;
  $("runs").tBodies[0].innerHTML = shown.map(i => `<tr data-run="${i}" tabindex="0"${i === state.chosen ? ' class="chosen"' : ""}>${COLUMNS.map(c => `<td>${cellText(c, i)}</td>`).join("")}</tr>`).join("");
}
function bindTable() {
  $("filter").oninput = e => { state.filter = e.target.value; state.page = 0; fillTable(); };
  $("previous").onclick = () => { state.page--; fillTable(); };
  $("next").onclick = () => { state.page++; fillTable(); };
  $("runs").tHead.onclick = e => { const c = e.target.dataset.sort; if (!c) return; state.down = state.sort === c && !state.down; state.sort = c; fillTable(); };
  const open = e => { const row = e.target.closest("tr"); if (row && (e.type === "click" || e.key === "Enter")) { choose(+row.dataset.run); $("run").scrollIntoView({ block: "nearest" }); } };
  $("runs").tBodies[0].onclick = open; $("runs").tBodies[0].onkeydown = open;
}

buildAxes(); showRule(); bindRule(); bindMap(); bindTable();
window.addEventListener("resize", refresh);
refresh();
warmUp();
