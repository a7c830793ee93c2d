// Numbers: those the page carries, cut to a slice and drawn finer, and what another rule makes of them.
"use strict";

const $ = id => document.getElementById(id), all = selector => [...document.querySelectorAll(selector)];
const DATA = JSON.parse($("data").textContent), NAMES = DATA.regimes;
const KINDS = { i2: Int16Array, f4: Float32Array, u1: Uint8Array, u2: Uint16Array };
// A field is {data, kind}: base64 of numbers of a kind, unpacked when first asked for. With a scale, a number q stands
// for q * scale + offset, and the least for none.
function numbers(field) {
  if (field.values) return field.values;
  const raw = atob(field.data), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const found = new KINDS[field.kind](bytes.buffer), value = q => (q === -32768 ? NaN : q * field.scale + field.offset);
  return field.values = field.scale ? Float32Array.from(found, value) : found;
}

// Ask a grid, whose last axis has `size` values, at some points of that axis, each the sum of four values by their
// weights; that axis then comes first. Done for every axis, from the last to the first, their order is as it was.
function ask(grid, size, { count, index, weight }) {
  const rows = grid.length / size, out = new Float32Array(count * rows);
  for (let c = 0; c < count; c++) for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let k = 4 * c; k < 4 * c + 4; k++) sum += weight[k] * grid[r * size + index[k]];
    out[c * rows + r] = sum;
  }
  return out;
}
// The normal distribution function, looked up: it is given from -6 to 6 in thousandths.
const phi = x => numbers(DATA.phi)[Math.round(1000 * Math.min(Math.max(x, -6), 6)) + 6000];

// Chances of the four regimes where log10 of t_mem and of the delay are normal: the delay by its distribution function,
// at the middles of slices of t_mem. A rule has a budget and says from which step on generalising counts as grokking.
const SLICES = 11;
function regimesOf(mean, sd, delay, spread, rule) {
  const end = (Math.log10(rule.budget) - mean) / sd, width = (Math.min(end, 4) + 4) / SLICES, memorised = phi(end);
  const within = steps => phi((Math.log10(Math.max(steps, 1e-9)) - delay) / spread);
  let total = 1e-300, generalised = 0, early = 0;
  for (let k = 0; width > 0 && k < SLICES; k++) {
    const z = (k + 0.5) * width - 4, share = Math.exp(-z * z / 2), t = 10 ** (mean + sd * z);
    const reached = within(rule.budget - t);
    total += share;
    generalised += share * reached;
    early += share * Math.min(reached, within(rule.grokkingFrom(t) - t));
  }
  const scale = memorised / total;
  return [1 - memorised, scale * (total - generalised), scale * (generalised - early), scale * early];
}
// The regimes of another rule at the points of a slice, from the posterior of the times and the law alone: log
// probabilities for a run with a new seed, and for each pair the log-odds of the side that the median run is on.
function relabelled(mems, delays, count, rule) {
  const mix = noisy => {
    const out = NAMES.map(() => new Float64Array(count));
    for (const mem of mems) for (const delay of delays) for (let i = 0; i < count; i++) {
      const weight = mem.weight[i] * delay.weight[i];
      if (weight < 1e-4) continue;
      const [sm, sd] = [mem, delay].map(one => Math.hypot(Math.max(one.sd[i], 1e-3), noisy ? one.noise : 0));
      regimesOf(mem.mean[i], sm, delay.mean[i], sd, rule).forEach((p, k) => { out[k][i] += weight * p; });
    }
    return out;
  };
  const median = mix(false), layers = {};
  mix(true).forEach((p, j) => {
    layers[NAMES[j]] = Float32Array.from(p, v => Math.log(Math.max(v, 1e-5)));
    for (let k = j + 1; k < NAMES.length; k++) layers[`${NAMES[j]}|${NAMES[k]}`] =
      Float32Array.from(median[j], (v, i) => Math.log((v + 1e-4) / (median[k][i] + 1e-4)));
  });
  return layers;
}
// A run's regime under a rule by the later of the steps between which each time lies, and whether that is certain: the
// earlier ones, or going on after it was stopped, may make it another. A step below 0 was not reached by that step.
function labelRun(mems, gens, rule) {
  const inTime = t => t >= 0 && t <= rule.budget, sure = t => t >= 0 || -t >= rule.budget;
  const label = (mem, gen) => !inTime(mem) ? 0 : !inTime(gen) ? 1 : gen >= rule.grokkingFrom(mem) ? 2 : 3;
  const regime = label(mems[1], gens[1]), same = mems.every(mem => gens.every(gen => label(mem, gen) === regime));
  return { regime, known: same && sure([mems[1], gens[1]][regime] ?? 0) };
}

// Where two regimes are equally likely, by pair, as segments [u1, v1, u2, v2]: in each cell between drawn points from
// where its sides are crossed to the middle of these crossings.
function edgesOf({ p, best, n, m, unit }) {
  const found = {};
  for (let r = 0; r + 1 < m; r++) for (let c = 0; c + 1 < n; c++) {
    const i = r * n + c, corners = [i, i + 1, i + n + 1, i + n], hits = [];
    if (corners.every(j => best[j] === best[i])) continue;
    corners.forEach((from, k) => {
      const to = corners[(k + 1) % 4], [a, b] = [best[from], best[to]].sort();
      if (a === b) return;
      const odds = j => Math.log(p[4 * j + a] / p[4 * j + b]), t = odds(from) / (odds(from) - odds(to)) || 0;
      hits.push([`${NAMES[a]}|${NAMES[b]}`, ...unit(from).map((u, d) => u + t * (unit(to)[d] - u))]);
    });
    const middle = [1, 2].map(d => hits.reduce((sum, hit) => sum + hit[d], 0) / hits.length);
    for (const [pair, ...at] of hits) (found[pair] ??= []).push([...at, ...middle]);
  }
  return found;
}
