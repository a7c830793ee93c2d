// What is chosen, the scene it makes, and the map drawn of it.
"use strict";

const DATA = JSON.parse($("data").textContent);
const { axes: AXES, regimes: NAMES, colours: COLOURS, runs: RUNS } = DATA;
const RGB = COLOURS.map(c => [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16)));
// Apply f to every leaf of a tree of lists and tables.
function deep(tree, is, f) {
  if (is(tree)) return f(tree);
  if (!tree || typeof tree !== "object") return tree;
  if (Array.isArray(tree)) return tree.map(v => deep(v, is, f));
  return Object.fromEntries(Object.entries(tree).map(([k, v]) => [k, deep(v, is, f)]));
}
const unpacked = tree => deep(tree, v => v && v.scale !== undefined, unpack);
// The numbers of the chosen level of the categories, unpacked when first asked for; a map without them is one level.
const UNPACKED = {}, part = () => DATA.levels[state.level];
const once = (key, tree) => UNPACKED[key] || (UNPACKED[key] = unpacked(tree));
const ownLayers = () => once(state.level, part().own);
const timesAt = threshold => once(`${state.level} ${threshold}`, part().times[threshold]);
const COUNT = RUNS.id.length, PLACES = RUNS.axes.map(floats), LEVEL = bytesOf(RUNS.level);
// A column of the runs: numbers, or words that each run names by a code.
function columnOf(field) {
  const values = field.words ? new Uint16Array(bytesOf(field.codes).buffer) : floats(field);
  return i => field.words ? field.words[values[i]] : Number.isFinite(values[i]) ? values[i] : null;
}
const TABLE = Object.fromEntries(Object.entries(RUNS.table).map(([name, field]) => [name, columnOf(field)]));
const outcomeOf = columnOf(RUNS.outcome), STEPS = {};
function stepsAt(threshold) {
  if (!STEPS[threshold]) {
    const { mem, mem_event, gen, gen_event } = RUNS.milestones[threshold], [a, b] = [mem_event, gen_event].map(bytesOf);
    STEPS[threshold] = { mem: floats(mem), mem_event: a, gen: floats(gen), gen_event: b };
  }
  return STEPS[threshold];
}

const state = { level: 0, ix: DATA.x, iy: DATA.y, held: DATA.held.slice(), rule: { ...DATA.rule }, layer: "regimes",
  bands: true, runs: true, all: false, chosen: -1, sort: "run", down: false, page: 0, filter: "" };
const labels = { regime: new Uint8Array(COUNT), known: new Uint8Array(COUNT) };
let scene = null;
const isOwn = () => ["threshold", "budget", "gap", "ratio"].every(k => state.rule[k] === DATA.rule[k]);
const zeroOffset = k => (k >= 0 && AXES[k].zero ? 1 : 0);
const heldValue = k => {
  const { values, scale } = AXES[k], low = Math.floor(state.held[k]), f = state.held[k] - low, a = values[low];
  if (f < 1e-9) return a;
  return scale === "log" && a > 0 ? a * Math.pow(values[low + 1] / a, f) : a + f * (values[low + 1] - a);
};
// As many points as a grid's and some between, so that the grid's own are among them.
const fine = n => (n - 1) * Math.max(1, Math.round(144 / Math.max(n - 1, 1))) + 1;

// All that depends on the choices: log probabilities at the grid's points; drawn finer, probabilities and edges.
function compute() {
  const { ix, iy, rule } = state, own = isOwn(), times = timesAt(rule.threshold);
  const shape = AXES.map(a => a.values.length);
  const nx = shape[ix], ny = iy < 0 ? 1 : shape[iy], zx = zeroOffset(ix), zy = zeroOffset(iy);
  const cut = tree => deep(tree, v => v instanceof Float32Array, v => cutGrid(v, shape, ix, iy, state.held));
  const layers = { time: times.median, ...(own ? ownLayers() : {}) }, n = fine(nx - zx), m = iy < 0 ? 1 : fine(ny - zy);
  Object.assign(layers, cut(layers), own ? {} : relabelled(cut(times), nx * ny, rule));
  const p = new Float32Array(4 * n * m), best = new Uint8Array(n * m);
  NAMES.forEach((name, k) => {
    finer(layers[name], nx, ny, zx, zy, n, m).forEach((v, i) => { p[4 * i + k] = Math.exp(v); });
  });
  for (let i = 0, o = 0; i < n * m; i++, o += 4) {
    const sum = p[o] + p[o + 1] + p[o + 2] + p[o + 3];
    for (let k = 0; k < 4; k++) { p[o + k] /= sum; if (p[o + k] > p[o + best[i]]) best[i] = k; }
  }
  const t = stepsAt(rule.threshold);
  for (let i = 0; i < COUNT; i++) {
    const { regime, known } = labelRun(t.mem[i], t.mem_event[i], t.gen[i], t.gen_event[i], rule);
    labels.regime[i] = regime; labels.known[i] = known ? 1 : 0;
  }
  scene = { p, best, layers, nx, ny, zx, zy, n, m, own, edges: iy < 0 ? {} : edgesOf(p, best, n, m) };
}

// Colours of layers that are one number a point: even in lightness, the same to every colour vision (cividis).
const STOPS = [[0, 32, 77], [70, 74, 108], [124, 123, 120], [187, 174, 110], [255, 234, 70]];
const BITS = [0, 1, "0 bits", "1 bit or more"], [SOONEST, LATEST] = DATA.time_range;
const SCALARS = { epistemic: BITS, seeds: BITS,
  time: [Math.log10(SOONEST), Math.log10(LATEST), `step ${fmt(SOONEST)}`, `step ${fmt(LATEST)} or later`] };
// The two layers of uncertainty are Python's, under the fitted rule only.
const layerShown = () => (!scene.own && SCALARS[state.layer] === BITS ? "regimes" : state.layer);
function ramp(name, value) {
  const [low, high] = SCALARS[name], u = Math.min(Math.max((value - low) / (high - low || 1), 0), 1) * 4;
  const i = Math.min(u | 0, 3);
  return [0, 1, 2].map(c => STOPS[i][c] * (1 - u + i) + STOPS[i + 1][c] * (u - i));
}
const blend = (p, o) => [0, 1, 2].map(c => RGB.reduce((sum, rgb, k) => sum + p[o + k] * rgb[c], 0));

// A picture of n × m points, the first at the lower left, in base64; paint(i) gives red, green, blue, opacity.
function picture(n, m, paint) {
  const canvas = document.createElement("canvas"), image = new ImageData(n, m);
  for (let r = 0; r < m; r++) for (let c = 0; c < n; c++) image.data.set(paint(r * n + c), 4 * ((m - 1 - r) * n + c));
  canvas.width = n; canvas.height = m;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.toDataURL().split(",")[1];
}

function groundAndBands(px, py) {
  const { n, m, nx, ny, zx, zy, layers, p, best, edges } = scene, layer = layerShown(), scalar = SCALARS[layer];
  const values = scalar && finer(layers[layer], nx, ny, zx, zy, n, m), [u, v] = [0.5 / (n - 1), 0.5 / (m - 1)];
  const colour = i => values ? ramp(layer, values[i]) : layer === "likeliest" ? RGB[best[i]] : blend(p, 4 * i);
  // A point is the middle of its pixel, so that the picture is half a pixel larger than the box.
  const [left, top, right, bottom] = [px(-u), py(1 + v), px(1 + u), py(-v)];
  const place = `x="${left}" y="${top}" width="${right - left}" height="${bottom - top}" preserveAspectRatio="none"`;
  const image = paint => `<image ${place} href="data:image/png;base64,${picture(n, m, paint)}"/>`;
  const parts = [image(i => [...colour(i), 255])];
  if (state.bands) for (const [name, low, fill] of [["b90", 0.05, "url(#hatch)"], ["b50", 0.25, "rgba(29,34,43,.3)"]]) {
    const inside = new Uint8Array(n * m), edge = Math.log(1 / low - 1);
    for (const pair of Object.keys(edges)) {
      if (!layers[pair]) continue;
      const [a, b] = pair.split("|").map(one => NAMES.indexOf(one));
      finer(layers[pair], nx, ny, zx, zy, n, m).forEach((odds, i) => {
        if (Math.abs(odds) <= edge && p[4 * i + a] + p[4 * i + b] > 0.5) inside[i] = 255;
      });
    }
    parts.push(`<mask id="${name}">${image(i => [255, 255, 255, inside[i]])}</mask>`);
    parts.push(`<rect ${place} fill="${fill}" mask="url(#${name})"/>`);
  }
  const point = (u, v) => `${px(u).toFixed(1)},${py(v).toFixed(1)}`;
  const lines = Object.values(edges).flat().map(s => `M${point(s[0], s[1])}L${point(s[2], s[3])}`);
  for (const look of state.bands ? ['stroke="white" stroke-width="4.5"', `stroke="${DARK}" stroke-width="2.2"`] : [])
    parts.push(`<path class="edge" d="${lines.join("")}" ${look} stroke-linecap="round"/>`);
  return `<g clip-path="url(#box)">${parts.join("")}</g>`;
}

// The zero category of an axis as a strip beside the box: one rectangle a point of the grid.
function strips(px, py) {
  const { nx, ny, zx, zy, layers } = scene, [low, high] = ZERO_STRIP, layer = layerShown(), parts = [];
  const clamp = v => Math.min(Math.max(v, 0), 1);
  const rect = (a, b, c, d, i) => {
    const p = NAMES.map(name => Math.exp(layers[name][i]));
    const rgb = SCALARS[layer] ? ramp(layer, layers[layer][i]) : blend(p, 0);
    const place = `x="${px(a)}" y="${py(d)}" width="${px(b) - px(a) + 0.4}" height="${py(c) - py(d) + 0.4}"`;
    parts.push(`<rect ${place} fill="rgb(${rgb.map(Math.round)})" shape-rendering="crispEdges"/>`);
  };
  const ends = (j, n) => [clamp((j - 0.5) / (n - 1)), clamp((j + 0.5) / (n - 1))];
  if (zx) for (let j = 0; j < ny - zy; j++) rect(low, high, ...ends(j, ny - zy), (j + zy) * nx);
  if (zy) for (let j = 0; j < nx - zx; j++) rect(...ends(j, nx - zx), low, high, j + zx);
  return parts.join("");
}

// With one axis the regimes' probabilities are stacked over it.
function profile(px, py) {
  const { n, p } = scene, below = new Float32Array(n);
  const outline = () => Array.from(below, (v, c) => `${px(c / (n - 1)).toFixed(1)},${py(v).toFixed(1)}`);
  return COLOURS.map((colour, k) => {
    const under = outline();
    below.forEach((v, c) => { below[c] = v + p[4 * c + k]; });
    return `<polygon points="${[...under, ...outline().reverse()].join(" ")}" fill="${colour}"/>`;
  }).join("");
}
