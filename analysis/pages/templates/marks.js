// The runs on the map, each as a mark or, where there are many, counted in cells; and the whole drawing.
"use strict";

const MANY = 1000, CELL = 20;
const MARKS = { generalised: "generalised", censored: "censored: memorised, not generalised",
  confused: "censored: not even memorised", uncertain: "stopped before the budget", unstable: "unstable",
  failed: "diverged or failed" };
function markKind(i) {
  const outcome = outcomeOf(i);
  if (outcome === "diverged" || outcome === "failed") return "failed";
  if (outcome === "unstable") return "unstable";
  return labels.known[i] ? ["confused", "censored", "generalised", "generalised"][labels.regime[i]] : "uncertain";
}

const UNITS = AXES.map((axis, k) => PLACES[k].map(v => unitOf(axis, v)));
// Which runs lie near the slice: within 1/6 of the box on every axis that is held.
function nearSlice() {
  const near = new Uint8Array(COUNT).fill(1);
  AXES.forEach((axis, k) => {
    if (k === state.ix || k === state.iy) return;
    const held = heldValue(k), at = unitOf(axis, held), zero = axis.zero && held === 0;
    UNITS[k].forEach((u, i) => { if (Math.abs(u - at) > 1 / 6 || (axis.zero && (u < 0) !== zero)) near[i] = 0; });
  });
  return near;
}

// In a profile a run stands in the band of its own regime, spread so that neighbours do not hide each other.
function insideBand(i, u) {
  const o = 4 * Math.round(Math.min(Math.max(u, 0), 1) * (scene.n - 1)), k = labels.regime[i];
  const low = scene.p.subarray(o, o + k).reduce((a, b) => a + b, 0);
  return low + scene.p[o + k] * (0.12 + 0.76 * ((i * 0.618034) % 1));
}

let placed = [], cells = [];
function placeRuns({ px, py }) {
  const near = nearSlice();
  placed = []; cells = [];
  for (let i = 0; i < COUNT; i++) {
    if (LEVEL[i] !== state.level || (!near[i] && !state.all)) continue;
    const u = UNITS[state.ix][i], v = state.iy < 0 ? insideBand(i, u) : UNITS[state.iy][i];
    placed.push({ i, x: px(u), y: py(v), far: !near[i] });
  }
  if (placed.length <= MANY) { placed.sort((a, b) => b.far - a.far); return; }
  const found = new Map();
  for (const { i, x, y } of placed) {
    const column = Math.floor(x / CELL), row = Math.floor(y / CELL), key = column * 10000 + row;
    const fresh = { x: (column + 0.5) * CELL, y: (row + 0.5) * CELL, counts: [0, 0, 0, 0], total: 0 };
    const cell = found.get(key) || found.set(key, fresh).get(key);
    cell.counts[labels.regime[i]]++; cell.total++;
  }
  cells = [...found.values()];
}
const most = () => cells.reduce((high, cell) => Math.max(high, cell.total), 1);
function drawRuns() {
  const size = placed.length > 600 ? 3 : placed.length > 250 ? 3.8 : 4.8, top = most(), parts = [];
  for (const { x, y, counts, total } of cells) {
    const regime = counts.indexOf(Math.max(...counts)), radius = Math.max(1.5, 0.36 * CELL * Math.sqrt(total / top));
    parts.push(mark("generalised", x, y, radius, COLOURS[regime], 'class="cell" stroke-width=".6"'));
  }
  if (!cells.length) for (const { i, x, y, far } of placed) {
    const more = far ? 'opacity=".25"' : "";
    parts.push(mark(markKind(i), x, y, far ? size * 0.75 : size, COLOURS[labels.regime[i]], more));
  }
  const chosen = placed.find(d => d.i === state.chosen);
  for (const look of chosen ? ['stroke="#000" stroke-width="3"', 'stroke="#fff" stroke-width="1.2"'] : [])
    parts.push(`<circle cx="${chosen.x}" cy="${chosen.y}" r="${size + 5}" fill="none" ${look}/>`);
  return parts.join("");
}

// Write each regime's name in the middle of its region, where it rules there.
function names(px, py) {
  const { n, m, p, best } = scene;
  return NAMES.map((name, k) => {
    let total = 0, u = 0, v = 0;
    for (let i = 0; i < n * m; i++) {
      const weight = p[4 * i + k] ** 8;
      total += weight; u += weight * (i % n); v += weight * Math.floor(i / n);
    }
    // The whole name stands inside the box.
    const room = 4.4 * name.length / (px(1) - px(0)) * (n - 1), r = v / total;
    const c = Math.min(Math.max(u / total, room), n - 1 - room);
    if (total < 0.01 * n * m || best[Math.round(r) * n + Math.round(c)] !== k) return "";
    const look = 'text-anchor="middle" font-size="14" font-weight="700" paint-order="stroke" stroke-width="4"';
    const place = `x="${px(c / (n - 1))}" y="${py(r / (m - 1)) + 5}" fill="${DATA.inks[k]}" stroke="${COLOURS[k]}"`;
    return `<text ${place} ${look}>${name}</text>`;
  }).join("");
}

function boxOf(svg) { return [62, 10, svg.clientWidth - 74, svg.clientHeight - 56]; }
const PROBABILITY = { scale: "linear", low: 0, high: 1, label: "probability", ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] };
const drawnAxes = () => [AXES[state.ix], state.iy < 0 ? PROBABILITY : AXES[state.iy]];
function drawMap() {
  const svg = $("map"), box = boxOf(svg), [x, y] = drawnAxes(), { px, py } = placer(box, x, y);
  const inner = `x="${px(0)}" y="${py(1)}" width="${px(1) - px(0)}" height="${py(0) - py(1)}"`;
  const hatch = `<path d="M-2,2L2,-2M-2,10L10,-2M6,10L10,6" stroke="${DARK}" stroke-opacity=".6" stroke-width=".9"/>`;
  placeRuns({ px, py });
  svg.setAttribute("viewBox", `0 0 ${svg.clientWidth} ${svg.clientHeight}`);
  const layer = layerShown(), named = state.iy >= 0 && !SCALARS[layer];
  svg.innerHTML = `<defs><clipPath id="box"><rect ${inner}/></clipPath>` +
    `<pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse">${hatch}</pattern></defs>` +
    (state.iy < 0 ? profile(px, py) : groundAndBands(px, py) + strips(px, py)) +
    `<rect ${inner} fill="none" stroke="currentColor"/>` + frame(box, x, y) +
    (state.runs ? drawRuns() : "") + (named ? names(px, py) : "");
}
