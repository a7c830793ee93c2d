// Controls, the words around the map, and what the pointer and the keys do.
"use strict";

const logSlider = (low, high) => ({ to: v => Math.round(1000 * Math.log(v / low) / Math.log(high / low)),
  from: s => +(low * Math.pow(high / low, s / 1000)).toPrecision(3) });
const LIMIT = DATA.budget_limit, BUDGET = logSlider(Math.max(1, LIMIT / 1000), LIMIT);
const GAP = logSlider(1, LIMIT), RATIO = logSlider(1, 1000);

const CHECKS = [["show-bands", "bands"], ["show-runs", "runs"], ["all-runs", "all"]];

function buildAxes() {
  const option = chosen => ({ label }, k) =>
    `<option value="${k}"${k === chosen ? " selected" : ""}>${escapeHtml(label)}</option>`;
  const select = (id, name, chosen) => `<span><label for="${id}">${name}</label>` +
    `<select id="${id}">${AXES.map(option(chosen)).join("")}</select></span>`;
  $("axis-choice").innerHTML = AXES.length < 2 ? `<p class="note">${escapeHtml(AXES[0].label)}</p>` :
    select("axis-x", "across", state.ix) + select("axis-y", "up", state.iy);
  for (const [id, own, other] of AXES.length < 2 ? [] : [["axis-x", "ix", "iy"], ["axis-y", "iy", "ix"]])
    $(id).onchange = event => {
      if (state[other] === +event.target.value) state[other] = state[own];
      state[own] = +event.target.value;
      buildAxes(); refresh(); $(id).focus();
    };
  const held = AXES.map((_, k) => k).filter(k => k !== state.ix && k !== state.iy);
  // An axis of few values stops at those that runs have, any other at the values of the grid.
  const stops = k => (AXES[k].stops.length ? AXES[k].stops : AXES[k].values.map((_, j) => j));
  const stop = k => stops(k).reduce((best, at, j) =>
    Math.abs(at - state.held[k]) < Math.abs(stops(k)[best] - state.held[k]) ? j : best, 0);
  $("slices").innerHTML = held.map(k => `<label for="slice-${k}">${escapeHtml(AXES[k].label)} ` +
    `<output id="slice-value-${k}"></output></label><input type="range" id="slice-${k}" min="0" ` +
    `max="${stops(k).length - 1}" step="1" value="${stop(k)}">`).join("");
  for (const k of held) {
    const show = () => { $(`slice-value-${k}`).textContent = fmt(heldValue(k)); };
    $(`slice-${k}`).oninput = event => { state.held[k] = stops(k)[event.target.value]; show(); refresh(); };
    show();
  }
  const levels = DATA.levels.map(({ name }, k) =>
    `<option value="${k}"${k === state.level ? " selected" : ""}>${escapeHtml(name)}</option>`);
  $("levels").innerHTML = DATA.categories.length ? `<label for="level">${escapeHtml(DATA.categories.join(", "))}` +
    `</label><select id="level">${levels.join("")}</select>` : "";
  if (levels.length && $("level")) $("level").onchange = event => { state.level = +event.target.value; refresh(); };
  $("all-runs-label").hidden = AXES.length < 3;
  $("bands-label").hidden = $("layer-choice").hidden = AXES.length < 2;
}

function showRule() {
  const rule = state.rule, gap = rule.gap !== null, only = DATA.thresholds.length < 2;
  $("threshold").max = DATA.thresholds.length - 1; $("threshold").value = DATA.thresholds.indexOf(rule.threshold);
  $("threshold").disabled = only;
  $("threshold-note").textContent = only ? "These runs carry milestones at one threshold only." : "";
  $("threshold-value").textContent = rule.threshold;
  $("budget").value = BUDGET.to(rule.budget); $("budget-value").textContent = fmt(rule.budget);
  $("form").value = gap ? "gap" : "ratio"; $("delay-name").textContent = gap ? "gap, steps" : "ratio";
  $("delay").value = gap ? GAP.to(Math.max(rule.gap, 1)) : RATIO.to(rule.ratio);
  $("delay-value").textContent = gap ? fmt(rule.gap) : `× ${fmt(rule.ratio)}`;
  for (const option of $("layer").options) option.disabled = SCALARS[option.value] === BITS && !isOwn();
}
function bindRule() {
  const change = (id, f) => { $(id).oninput = event => { f(+event.target.value); showRule(); refresh(); }; };
  change("threshold", v => { state.rule.threshold = DATA.thresholds[v]; });
  change("budget", v => { state.rule.budget = v === 1000 ? LIMIT : Math.round(BUDGET.from(v)); });
  change("delay", v => {
    if (state.rule.gap !== null) state.rule.gap = Math.round(GAP.from(v)); else state.rule.ratio = RATIO.from(v);
  });
  $("form").onchange = ({ target: { value } }) => {
    state.rule.gap = value === "gap" ? DATA.rule.gap ?? Math.max(1, Math.round(LIMIT / 100)) : null;
    state.rule.ratio = value === "gap" ? null : DATA.rule.ratio ?? 5;
    showRule(); refresh();
  };
  $("reset").onclick = () => { state.rule = { ...DATA.rule }; showRule(); refresh(); };
  $("layer").onchange = e => { state.layer = e.target.value; refresh(); };
  for (const [id, key] of CHECKS)
    $(id).onchange = e => { state[key] = e.target.checked; refresh(); };
}

// Each regime's share of the slice: the mean of its probability over the grid's points, a zero category left out.
function shares() {
  const { layers, nx, ny, zx, zy } = scene, sums = [0, 0, 0, 0];
  for (let r = zy; r < ny; r++) for (let c = zx; c < nx; c++) {
    const p = NAMES.map(name => Math.exp(layers[name][r * nx + c])), total = p.reduce((a, b) => a + b);
    p.forEach((v, k) => { sums[k] += v / total / (nx - zx) / (ny - zy); });
  }
  return sums;
}

function describe() {
  const share = shares(), count = [0, 0, 0, 0], kinds = {};
  const here = LEVEL.filter(level => level === state.level).length, percent = k => `${(100 * share[k]).toFixed(0)} %`;
  for (let i = 0; i < COUNT; i++) {
    const kind = markKind(i);
    if (LEVEL[i] !== state.level) continue;
    count[labels.regime[i]]++; kinds[kind] = (kinds[kind] || 0) + 1;
  }
  const layer = SCALARS[layerShown()], gradient = STOPS.map(c => `rgb(${c})`);
  const icon = kind => `<svg width="16" height="16">${mark(kind, 8, 8, 4.5, "#b9bec7")}</svg>`;
  const marks = cells.length ? [`${icon("generalised")}runs in a cell, at most ${fmt(most())}, coloured as most`] :
    Object.entries(MARKS).filter(([kind]) => kinds[kind]).map(([kind, text]) => icon(kind) + text);
  const bar = `<i class="ramp" style="background:linear-gradient(90deg,${gradient})"></i>`;
  const ends = layer ? [`${layer[2]} ${bar} ${layer[3]}`] : [];
  const regimes = NAMES.map((name, k) => swatch(COLOURS[k], `${name} ${percent(k)}`));
  const legend = [...regimes, ...ends, ...(state.runs ? marks : [])];
  $("legend").innerHTML = legend.map(text => `<span>${text}</span>`).join("");
  $("shares").innerHTML = share.map((s, k) => `<i style="width:${100 * s}%;background:${COLOURS[k]}"></i>`).join("");
  const { gap, ratio, threshold, budget } = state.rule;
  const delay = gap !== null ? `t_gen − t_mem ≥ ${fmt(gap)} steps` : `t_gen ≥ ${fmt(ratio)} × t_mem`;
  const censored = (kinds.censored || 0) + (kinds.confused || 0), unsure = kinds.uncertain || 0;
  $("caption").textContent = `Rule: accuracy ≥ ${threshold} within ${fmt(budget)} steps; grokking if ${delay}. ` +
    `${whole(here)} runs${DATA.categories.length ? ` at ${part().name}` : ""}: ` +
    `${NAMES.map((n, k) => `${whole(count[k])} ${n}`).join(", ")}; ${whole(censored)} censored (open)` +
    `${unsure ? `, ${whole(unsure)} stopped before this budget (triangles)` : ""}. ${DATA.sampled}` +
    (state.iy < 0 ? "" : " Lines: two regimes equally likely; shaded and hatched: where the line lies with 50 % and " +
      "90 % probability.");
  $("source").textContent = scene.own ? `As fitted: ${part().weights}.` :
    "Another rule than the fitted one: the runs are labelled anew, and the ground follows from the fitted times " +
    `${timesAt(threshold).law ? "and the critical law " : ""}alone, without the models of labels. The command below ` +
    "fits the whole map under it.";
  const form = gap !== null ? `--gap ${+gap.toPrecision(4)}` : `--ratio ${+ratio.toPrecision(3)}`;
  const short = k => AXES[k].short, aside = k => k !== state.ix && k !== state.iy;
  const held = AXES.map((_, k) => aside(k) ? ` --at ${short(k)}=${+heldValue(k).toPrecision(4)}` : "");
  const level = part().words.map(word => ` --at ${word}`).join("");
  const drawn = ` --x ${short(state.ix)}${state.iy < 0 ? "" : ` --y ${short(state.iy)}`}${held.join("")}${level}`;
  $("command").textContent = `grokmap map ${DATA.source} --threshold ${threshold} --budget ${budget} ${form}${drawn}`;
  const told = NAMES.map((name, k) => `${name} ${percent(k)}`).join(", ");
  $("map").setAttribute("aria-label", `Regime map. ${told} of this slice.`);
}

function choose(i) {
  state.chosen = i;
  if (LEVEL[i] !== state.level) { state.level = LEVEL[i]; buildAxes(); refresh(); return; }
  drawMap(); showRun(); fillTable(); changed();
}

let pending = false, resting = 0;
// The table, which nobody reads during a drag, is filled once the slider, or the typing, rests.
const tableSoon = () => { clearTimeout(resting); resting = setTimeout(fillTable, COUNT > MANY ? 250 : 0); };
// Draw everything anew at the next frame.
function refresh() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    const began = performance.now(), body = document.body.dataset;
    pending = false;
    compute(); drawMap(); describe(); showRun(); changed();
    tableSoon();
    body.ms = (performance.now() - began).toFixed(1); body.draws = 1 + +(body.draws || 0);
  });
}
