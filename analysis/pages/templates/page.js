// The page: what is chosen, the map it makes, and the runs behind it.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const AXES = DATA.axes, RUNS = DATA.runs, N_RUNS = RUNS.id.length;
const RGB = DATA.colours.map(c => [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16)));
const R = AXES.length > 1 ? 144 : 480, MARGIN = { left: 62, right: 12, top: 10, bottom: 46 };
const NAMES = DATA.regimes;

const VOLUMES = {};
function volumes(threshold) {
  if (!VOLUMES[threshold]) {
    VOLUMES[threshold] = {};
    for (const [name, field] of Object.entries(DATA.milestones[threshold])) VOLUMES[threshold][name] = unpack(field);
  }
  return VOLUMES[threshold];
}
const OWN = Object.fromEntries(Object.entries(DATA.own).map(([name, field]) => [name, unpack(field)]));

const state = { ix: DATA.x, iy: DATA.y, held: DATA.held.slice(), rule: { ...DATA.rule }, layer: "regimes", bands: true, runs: true, all: false, chosen: -1, sort: "run", down: false, page: 0, filter: "" };
let scene = null, labels = [];

const isOwn = () => ["threshold", "budget", "gap", "ratio"].every(k => state.rule[k] === DATA.rule[k]);
const zeroOffset = i => (AXES[i].zero ? 1 : 0);

// Everything that depends on the choices: probabilities on an R × R grid, strips for zero, edges, bands.
function compute() {
  const shape = AXES.map(a => a.n), { ix, iy, rule } = state, own = isOwn(), tables = volumes(rule.threshold);
  const nx = shape[ix], ny = iy < 0 ? 1 : shape[iy], m = iy < 0 ? 1 : R;
  const cut = Object.fromEntries(Object.entries(tables).map(([k, v]) => [k, cutVolume(v, shape, ix, iy, state.held)]));
  const zx = zeroOffset(ix), zy = iy < 0 ? 0 : zeroOffset(iy), p = new Float32Array(4 * R * m);
  const layers = own ? Object.fromEntries(Object.entries(OWN).map(([k, v]) => [k, cutVolume(v, shape, ix, iy, state.held)])) : relabelled(cut, nx, ny, rule);
  // Layers hold logarithms of the probabilities: exponentiate and make them sum to one again.
  NAMES.forEach((name, k) => { const f = resample(layers[name], nx, ny, zx, zy, R, m); for (let i = 0; i < R * m; i++) p[4 * i + k] = Math.exp(f[i]); });
  for (let i = 0; i < R * m; i++) { const sum = p[4 * i] + p[4 * i + 1] + p[4 * i + 2] + p[4 * i + 3]; for (let k = 0; k < 4; k++) p[4 * i + k] /= sum; }
  const strips = [];
  for (const [side, has] of [["x", zx], ["y", zy]]) {
    if (!has) continue;
    const count = side === "x" ? ny : nx, skip = side === "x" ? zy : zx, row = [];
    for (let j = skip; j < count; j++) {
      const i = side === "x" ? j * nx : j, q = new Float32Array(4);
      NAMES.forEach((name, k) => { q[k] = Math.exp(layers[name][i]); });
      row.push(q);
    }
    strips.push({ side, row });
  }
  const edges = [];
  if (iy >= 0) for (let a = 0; a < 4; a++) for (let b = a + 1; b < 4; b++) { const s = edgeSegments(p, R, R, a, b); if (s.length) edges.push({ a, b, segments: s }); }
  scene = { p, layers, cut, nx, ny, zx, zy, m, strips, edges, own };
  labels = Array.from({ length: N_RUNS }, (_, i) => {
    const t = RUNS.milestones[rule.threshold];
    return labelRun(t.mem[i], t.mem_event[i], t.gen[i], t.gen_event[i], rule);
  });
}

const FIRST = Math.max(1, Math.min(DATA.budget_limit / 2, ...Object.values(RUNS.milestones).map(t => t.gen.reduce((low, v, i) => t.gen_event[i] && v < low ? v : low, Infinity))));
// A number at every point of the coarse (ny, nx) grid, zero categories included, and the range its colours span.
const SCALARS = {
  epistemic: { range: () => [0, 1], ends: ["0 bits", "1 bit or more"] },
  seeds: { range: () => [0, 1], ends: ["0 bits", "1 bit or more"] },
  time: { range: () => [Math.log10(FIRST), Math.log10(DATA.budget_limit)], ends: [`step ${fmt(Math.round(FIRST))}`, `step ${fmt(DATA.budget_limit)} or later`] },
};
function coarseLayer(name) {
  const { cut, layers, nx, ny } = scene;
  if (layers[name]) return layers[name];
  return Float32Array.from({ length: nx * ny }, (_, i) => {
    const mem = levelAt(cut, "t_mem", i), delay = levelAt(cut, "delay", i);
    return name === "time" ? Math.log10(Math.pow(10, likeliest(mem)) + Math.pow(10, likeliest(delay))) : entropyParts(mem, delay, state.rule)[name];
  });
}

const mix = p => [0, 1, 2].map(c => p.reduce((sum, w, k) => sum + w * RGB[k][c], 0));
// Cividis by five stops: even in lightness, the same to every colour vision.
const STOPS = [[0, 32, 77], [70, 74, 108], [124, 123, 120], [187, 174, 110], [255, 234, 70]];
function ramp(t) {
  const u = Math.min(Math.max(t, 0), 1) * 4, i = Math.min(u | 0, 3), f = u - i;
  return [0, 1, 2].map(c => STOPS[i][c] * (1 - f) + STOPS[i + 1][c] * f);
}

function tinter() {
  if (!SCALARS[state.layer]) return null;
  const [low, high] = SCALARS[state.layer].range();
  return v => ramp((v - low) / (high - low));
}

function groundImage() {
  const image = new ImageData(R, R), { p } = scene;
  const { nx, ny, zx, zy } = scene, scalar = scene.coarse && resample(scene.coarse, nx, ny, zx, zy, R, R), tint = tinter();
  for (let r = 0; r < R; r++) for (let c = 0; c < R; c++) {
    const i = r * R + c, o = 4 * ((R - 1 - r) * R + c), q = p.subarray(4 * i, 4 * i + 4);
    const colour = scalar ? tint(scalar[i]) : state.layer === "likeliest" ? RGB[q.indexOf(Math.max(...q))] : mix(Array.from(q));
    image.data.set([colour[0], colour[1], colour[2], 255], o);
  }
  return image;
}

function offscreen(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width; canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Where the boundary lies with 90 and 50 % probability: the side the median run falls on is that uncertain there.
function bandImage(edge, low) {
  const image = new ImageData(R, R), { layers, p, nx, ny, zx, zy } = scene, coarse = layers[`${NAMES[edge.a]}|${NAMES[edge.b]}`];
  if (!coarse) return null;
  const shares = resample(coarse, nx, ny, zx, zy, R, R);
  let any = false;
  for (let r = 0; r < R; r++) for (let c = 0; c < R; c++) {
    const i = 4 * (r * R + c), both = p[i + edge.a] + p[i + edge.b];
    const share = 1 / (1 + Math.exp(-shares[r * R + c]));
    if (both > 0.5 && share >= low && share <= 1 - low) { image.data[4 * ((R - 1 - r) * R + c) + 3] = 255; any = true; }
  }
  return any ? image : null;
}
function hatch(g, ratio) {
  const tile = document.createElement("canvas"), s = Math.round(8 * ratio);
  tile.width = tile.height = s;
  const t = tile.getContext("2d");
  t.strokeStyle = "rgba(29,34,43,.62)"; t.lineWidth = 0.8 * ratio;
  for (const d of [-s, 0, s]) { t.beginPath(); t.moveTo(d - 1, s + 1); t.lineTo(d + s + 1, -1); t.stroke(); }
  return g.createPattern(tile, "repeat");
}

function geometry(w, h) {
  const zx = zeroOffset(state.ix), zy = state.iy < 0 ? 0 : zeroOffset(state.iy), lowU = zx ? ZERO_STRIP[0] : 0, lowV = zy ? ZERO_STRIP[0] : 0;
  const width = w - MARGIN.left - MARGIN.right, height = h - MARGIN.top - MARGIN.bottom;
  return { px: u => MARGIN.left + (u - lowU) / (1 - lowU) * width, py: v => MARGIN.top + height - (v - lowV) / (1 - lowV) * height, lowU, lowV, width, height };
}

function drawMap() {
  const { g, w, h, ratio } = fitCanvas($("map")), geo = geometry(w, h), { px, py } = geo;
  placeRuns(geo);
  if (state.iy < 0) drawProfile(g, geo); else {
    const box = [px(0), py(1), px(1) - px(0), py(0) - py(1)];
    g.imageSmoothingEnabled = true;
    scene.coarse = SCALARS[state.layer] ? coarseLayer(state.layer) : null;
    g.drawImage(offscreen(groundImage()), ...box);
    const tint = tinter(), { nx, zx, zy } = scene;
    for (const { side, row } of scene.strips) row.forEach((q, j) => {
      const a = (j - 0.5) / (row.length - 1), b = (j + 0.5) / (row.length - 1), clamp = v => Math.min(Math.max(v, 0), 1), [lo, hi] = ZERO_STRIP;
      const colour = tint ? tint(scene.coarse[side === "x" ? (j + zy) * nx : j + zx]) : mix(Array.from(q));
      g.fillStyle = `rgb(${colour.map(Math.round).join()})`;
      if (side === "x") g.fillRect(px(lo), py(clamp(b)), px(hi) - px(lo), py(clamp(a)) - py(clamp(b)) + 0.5);
      else g.fillRect(px(clamp(a)), py(hi), px(clamp(b)) - px(clamp(a)) + 0.5, py(lo) - py(hi));
    });
    if (state.bands) drawEdges(g, box, ratio, px, py);
    if (state.layer === "regimes" || state.layer === "likeliest") nameRegions(g, px, py);
  }
  drawFrame(g, geo);
  if (state.runs) drawRuns(g);
}

function drawEdges(g, box, ratio, px, py) {
  for (const edge of scene.edges) for (const low of [0.05, 0.25]) {
    const image = bandImage(edge, low);
    if (!image) continue;
    const layer = document.createElement("canvas");
    layer.width = Math.ceil(box[2] * ratio); layer.height = Math.ceil(box[3] * ratio);
    const k = layer.getContext("2d");
    k.drawImage(offscreen(image), 0, 0, layer.width, layer.height);
    k.globalCompositeOperation = "source-in";
    k.fillStyle = low === 0.05 ? hatch(k, ratio) : "rgba(29,34,43,.3)";
    k.fillRect(0, 0, layer.width, layer.height);
    g.drawImage(layer, ...box);
  }
  for (const [colour, width] of [["white", 4.5], [INK, 2.2]]) {
    g.strokeStyle = colour; g.lineWidth = width; g.lineCap = "round"; g.beginPath();
    for (const { segments } of scene.edges) for (const s of segments) { g.moveTo(px(s[0]), py(s[1])); g.lineTo(px(s[2]), py(s[3])); }
    g.stroke();
  }
}

// Write each regime's name inside its region, in the box that covers the fewest runs and lies deepest.
function nameRegions(g, px, py) {
  const S = 64, cell = new Int8Array(S * S);
  for (let r = 0; r < S; r++) for (let c = 0; c < S; c++) {
    const o = 4 * (Math.round(r / (S - 1) * (R - 1)) * R + Math.round(c / (S - 1) * (R - 1)));
    let best = 0;
    for (let k = 1; k < 4; k++) if (scene.p[o + k] > scene.p[o + best]) best = k;
    cell[r * S + c] = best;
  }
  g.font = "600 13px system-ui, sans-serif"; g.textAlign = "center"; g.textBaseline = "middle"; g.lineJoin = "round";
  NAMES.forEach((name, k) => {
    const half = (g.measureText(name).width / 2 + 6) / (px(1) - px(0)), tall = 11 / (py(0) - py(1)), w = Math.ceil(half * S), t = Math.ceil(tall * S);
    const fits = (r, c, dw, dt) => { for (let a = -dt; a <= dt; a++) for (let b = -dw; b <= dw; b++) { const i = r + a, j = c + b; if (i < 0 || j < 0 || i >= S || j >= S || cell[i * S + j] !== k) return false; } return true; };
    let best = -Infinity, where = null;
    for (let r = t; r < S - t; r += 2) for (let c = w; c < S - w; c += 2) {
      if (cell[r * S + c] !== k || !fits(r, c, w, t)) continue;
      const x = px(c / (S - 1)), y = py(r / (S - 1)), covered = state.runs ? placed.filter(d => Math.abs(d.x - x) < half * (px(1) - px(0)) + 5 && Math.abs(d.y - y) < 14).length : 0;
      let depth = 0;
      while (depth < 8 && fits(r, c, w + depth + 1, t + depth + 1)) depth++;
      if (depth - 100 * covered > best) { best = depth - 100 * covered; where = [x, y]; }
    }
    if (!where) return;
    g.strokeStyle = DATA.colours[k]; g.lineWidth = 5; g.strokeText(name, ...where);
    g.fillStyle = DATA.inks[k]; g.fillText(name, ...where);
  });
}

function drawProfile(g, { px, py }) {
  for (let c = 0; c < R; c++) {
    let v = 0;
    for (let k = 0; k < 4; k++) { const top = v + scene.p[4 * c + k]; g.fillStyle = DATA.colours[k]; g.fillRect(px((c - 0.5) / (R - 1)), py(top), px(1 / (R - 1)) - px(0) + 0.7, py(v) - py(top) + 0.5); v = top; }
  }
}

function drawFrame(g, { px, py, lowU, lowV }) {
  const x = AXES[state.ix], y = state.iy < 0 ? { scale: "linear", low: 0, high: 1, label: "probability" } : AXES[state.iy];
  g.strokeStyle = INK; g.lineWidth = 1; g.fillStyle = INK; g.font = "12px system-ui, sans-serif";
  g.strokeRect(px(0), py(1), px(1) - px(0), py(0) - py(1));
  const put = (axis, text, u, side) => {
    if (side === "x") { g.textAlign = "center"; g.textBaseline = "top"; g.fillRect(px(u) - 0.5, py(lowV), 1, 5); g.fillText(text, px(u), py(lowV) + 7); }
    else { g.textAlign = "right"; g.textBaseline = "middle"; g.fillRect(px(lowU) - 5, py(u) - 0.5, 5, 1); g.fillText(text, px(lowU) - 8, py(u)); }
  };
  for (const [axis, side] of [[x, "x"], [y, "y"]]) {
    const ticks = axis.scale === "log" ? logTicks(axis.low, axis.high, 7).major : linearTicks(axis.low, axis.high, 6);
    for (const v of ticks) put(axis, fmt(v), unitOf(axis, v), side);
    if (axis.zero) put(axis, "0", (ZERO_STRIP[0] + ZERO_STRIP[1]) / 2, side);
  }
  g.font = "13px system-ui, sans-serif"; g.textAlign = "center"; g.textBaseline = "alphabetic";
  g.fillText(x.label, (px(0) + px(1)) / 2, py(lowV) + 40);
  g.save(); g.translate(14, (py(0) + py(1)) / 2); g.rotate(-Math.PI / 2); g.fillText(y.label, 0, 0); g.restore();
}

function markKind(i) {
  const outcome = RUNS.outcome[i];
  if (outcome === "diverged" || outcome === "failed") return "failed";
  if (outcome === "unstable") return "unstable";
  if (!labels[i].known) return "uncertain";
  return ["confused", "censored", "generalised", "generalised"][labels[i].regime];
}

// How far a run lies from the slice, in units of the sliders' axes: 0 on it, beyond 1/6 it is far.
function distance(i) {
  let far = 0;
  AXES.forEach((axis, k) => {
    if (k === state.ix || k === state.iy) return;
    const v = RUNS.axes[k][i], zero = axis.zero && state.held[k] < 0.5, at = zero ? 0 : (state.held[k] - zeroOffset(k)) / (axis.n - 1 - zeroOffset(k));
    far = Math.max(far, axis.scale === "log" && (v === 0) !== zero ? 1 : v === 0 ? 0 : Math.abs(unitOf(axis, v) - at));
  });
  return far;
}

// In a profile a run stands in the band of its own regime, spread so that neighbours do not hide each other.
function insideBand(i, u) {
  const o = 4 * Math.round(Math.min(Math.max(u, 0), 1) * (R - 1)), k = labels[i].regime;
  let low = 0;
  for (let j = 0; j < k; j++) low += scene.p[o + j];
  return low + scene.p[o + k] * (0.12 + 0.76 * ((i * 0.618034) % 1));
}

let placed = [];
function placeRuns({ px, py }) {
  placed = [];
  for (let i = 0; i < N_RUNS; i++) {
    const far = distance(i) > 1 / 6;
    if (far && !state.all) continue;
    const u = unitOf(AXES[state.ix], RUNS.axes[state.ix][i]), v = state.iy < 0 ? insideBand(i, u) : unitOf(AXES[state.iy], RUNS.axes[state.iy][i]);
    placed.push({ i, x: px(u), y: py(v), far });
  }
  placed.sort((a, b) => b.far - a.far);
}
function drawRuns(g) {
  const size = placed.length > 600 ? 3 : placed.length > 250 ? 3.8 : 4.8;
  for (const { i, x, y, far } of placed) { g.globalAlpha = far ? 0.25 : 1; drawMark(g, x, y, far ? size * 0.75 : size, DATA.colours[labels[i].regime], markKind(i)); }
  g.globalAlpha = 1;
  const chosen = placed.find(d => d.i === state.chosen);
  if (chosen) { g.strokeStyle = "#000"; g.lineWidth = 2.5; g.beginPath(); g.arc(chosen.x, chosen.y, size + 5, 0, 7); g.stroke(); g.strokeStyle = "#fff"; g.lineWidth = 1; g.stroke(); }
}

function ruleSentence(rule) {
  const delay = rule.gap !== null ? `t_gen − t_mem ≥ ${fmt(rule.gap)} steps` : `t_gen ≥ ${fmt(rule.ratio)} × t_mem`;
  return `accuracy ≥ ${rule.threshold} within ${fmt(rule.budget)} steps; grokking if ${delay}`;
}

function describe() {
  const share = [0, 0, 0, 0], count = [0, 0, 0, 0];
  for (let i = 0; i < scene.p.length; i++) share[i % 4] += scene.p[i] * 4 / scene.p.length;
  labels.forEach(l => { count[l.regime]++; });
  $("shares").innerHTML = NAMES.map((name, k) => `<div style="width:${100 * share[k]}%;background:${DATA.colours[k]};color:${DATA.inks[k]}" title="${name}: ${(100 * share[k]).toFixed(1)} % of this slice">${share[k] > 0.09 ? `${name} ${(100 * share[k]).toFixed(0)} %` : ""}</div>`).join("");
  const censored = labels.filter((l, i) => ["censored", "confused"].includes(markKind(i))).length, unsure = labels.filter(l => !l.known).length;
  $("caption").textContent = `Rule: ${ruleSentence(state.rule)}. ${N_RUNS} runs: ${NAMES.map((n, k) => `${count[k]} ${n}`).join(", ")}; ${censored} censored (open)${unsure ? `, ${unsure} stopped before this budget (triangles)` : ""}.${state.iy < 0 ? "" : " Lines: two regimes equally likely; shaded and hatched: where the line lies with 50 % and 90 % probability."}`;
  $("source").textContent = scene.own ? `As fitted: ${DATA.weights}.` : "Another rule than the fitted one: the same models with the weights and hyperparameters of the fitted rule, the runs labelled anew; the two layers of uncertainty are those of the times alone. The command below refits everything.";
  const s = state.rule, form = s.gap !== null ? `--gap ${+s.gap.toPrecision(4)}` : `--ratio ${+s.ratio.toPrecision(3)}`;
  const short = k => AXES[k].short, held = AXES.map((a, k) => k === state.ix || k === state.iy ? "" : ` --at ${short(k)}=${+heldValue(k).toPrecision(4)}`).join("");
  $("command").textContent = `grokmap map ${DATA.source} --threshold ${s.threshold} --budget ${s.budget} ${form} --x ${short(state.ix)}${state.iy < 0 ? "" : ` --y ${short(state.iy)}`}${held}`;
  $("map").setAttribute("aria-label", `Regime map. ${NAMES.map((n, k) => `${n} ${(100 * share[k]).toFixed(0)} %`).join(", ")} of this slice.`);
}

function heldValue(k) {
  const axis = AXES[k], z = zeroOffset(k);
  return z && state.held[k] < 0.5 ? 0 : valueAt(axis, (state.held[k] - z) / (axis.n - 1 - z));
}

let pending = false;
function refresh() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; const began = performance.now(); compute(); buildLegend(); drawMap(); describe(); fillTable(); if (state.chosen >= 0) showRun(state.chosen); document.body.dataset.ms = (performance.now() - began).toFixed(1); document.body.dataset.draws = 1 + +(document.body.dataset.draws || 0); });
}
