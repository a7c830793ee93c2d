// Numbers of the map, recomputed in the browser from the posterior of the milestones.
"use strict";

function bytesOf(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

// A packed field is {data, scale, offset}: base64 of int16, value = q * scale + offset, the least int16 is "none".
function unpack(field) {
  const q = new Int16Array(bytesOf(field.data).buffer), out = new Float32Array(q.length);
  for (let i = 0; i < q.length; i++) out[i] = q[i] === -32768 ? NaN : q[i] * field.scale + field.offset;
  return out;
}

// The normal distribution function from a table (error below 1e-6), and its inverse (Acklam's rational approximation).
const PHI_STEPS = 4096, PHI_EDGE = 6, PHI = new Float64Array(PHI_STEPS + 2);
(function fillPhi() {
  const h = 2 * PHI_EDGE / PHI_STEPS, density = x => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  PHI[0] = 1e-9;
  for (let i = 1; i <= PHI_STEPS + 1; i++) {
    const a = -PHI_EDGE + (i - 1) * h;
    PHI[i] = PHI[i - 1] + h / 6 * (density(a) + 4 * density(a + h / 2) + density(a + h));
  }
})();
function phi(x) {
  if (!(x > -PHI_EDGE)) return 0;
  if (x >= PHI_EDGE) return 1;
  const t = (x + PHI_EDGE) * (PHI_STEPS / (2 * PHI_EDGE)), i = t | 0;
  return PHI[i] + (PHI[i + 1] - PHI[i]) * (t - i);
}
function phiInverse(p) {
  if (p <= 1e-9) return -6;
  if (p >= 1 - 1e-9) return 6;
  if (p < 0.02425 || p > 0.97575) {
    const q = Math.sqrt(-2 * Math.log(Math.min(p, 1 - p)));
    const v = (((((-7.784894002430293e-3 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) * q + 4.374664141464968) * q + 2.938163982698783) /
      ((((7.784695709041462e-3 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1);
    return p < 0.5 ? v : -v;
  }
  const q = p - 0.5, r = q * q;
  return (((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r - 30.66479806614716) * r + 2.506628277459239) * q /
    (((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r - 13.28068155288572) * r + 1);
}

const NODES = 16;
// Probabilities of the four regimes where log10 t_mem ~ N(mm, sm²) and log10 delay ~ N(md, sd²), into out[o..o+3].
function regimeProbabilities(mm, sm, md, sd, rule, out, o) {
  sm = Math.max(sm, 1e-4); sd = Math.max(sd, 1e-4);
  const logBudget = Math.log10(rule.budget), memorised = phi((logBudget - mm) / sm), weight = memorised / NODES;
  let memorization = 0, comprehension = 0, grokking = 0;
  for (let k = 0; memorised > 1e-7 && k < NODES; k++) {
    const t = Math.pow(10, mm + sm * phiInverse((k + 0.5) / NODES * memorised));
    const left = rule.budget - t, need = rule.gap !== null ? rule.gap : (rule.ratio - 1) * t;
    const within = left > 0 ? phi((Math.log10(left) - md) / sd) : 0;
    const early = need <= 0 ? 0 : need < left ? phi((Math.log10(need) - md) / sd) : within;
    memorization += 1 - within; comprehension += early; grokking += within - early;
  }
  out[o] = 1 - memorised; out[o + 1] = memorization * weight; out[o + 2] = grokking * weight; out[o + 3] = comprehension * weight;
}

// The posterior of a milestone's log10 steps at point i of a slice: a smooth field's mean and spread, seed noise, and
// jumps: how high each is, and the latent of the side, positive beyond.
function levelAt(cut, name, i) {
  const level = { mean: cut[`${name}_mean`][i], sd: cut[`${name}_sd`][i], noise: cut[`${name}_noise`][i], steps: [] };
  for (let k = 1; cut[`${name}_jump_${k}`]; k++) level.steps.push({ height: cut[`${name}_jump_${k}`][i], mean: cut[`${name}_side_${k}`][i], sd: cut[`${name}_side_${k}_sd`][i] });
  return level;
}
const likeliest = level => level.steps.reduce((value, step) => value + (step.mean > 0 ? step.height : 0), level.mean);
// The normals it is a mixture of, as [weight, mean, sd]: for a run with a new seed, or (not `noise`) for the median run.
function partsOf(level, noise) {
  const sd = noise ? Math.hypot(level.sd, level.noise) : level.sd;
  let parts = [[1, level.mean, sd]];
  for (const step of level.steps) {
    const beyond = phi(step.mean / Math.max(step.sd, 1e-6));
    parts = parts.flatMap(([w, m, s]) => [[w * (1 - beyond), m, s], [w * beyond, m + step.height, s]]);
  }
  return parts;
}
function regimesOfLevels(mem, delay, noise, rule, out, o) {
  const delays = partsOf(delay, noise), p = [0, 0, 0, 0];
  for (let k = 0; k < 4; k++) out[o + k] = 0;
  for (const [w, mm, sm] of partsOf(mem, noise)) for (const [v, md, sd] of delays) {
    if (w * v < 1e-6) continue;
    regimeProbabilities(mm, sm, md, sd, rule, p, 0);
    for (let k = 0; k < 4; k++) out[o + k] += w * v * p[k];
  }
}

// A run's regime under a rule, and whether that is certain: a run stopped before the budget may still have changed.
function labelRun(mem, memEvent, gen, genEvent, rule) {
  const memorised = memEvent && mem <= rule.budget, generalised = genEvent && gen <= rule.budget;
  if (!memorised) return { regime: 0, known: memEvent || mem >= rule.budget };
  if (!generalised) return { regime: 1, known: genEvent || gen >= rule.budget };
  const late = rule.gap !== null ? gen - mem >= rule.gap : gen >= rule.ratio * mem;
  return { regime: late ? 2 : 3, known: true };
}

// Cut a volume (C order over `shape`) at fractional indices `held` of all axes but ix and iy: (ny, nx), x fastest.
function cutVolume(volume, shape, ix, iy, held) {
  const d = shape.length, strides = new Array(d).fill(1);
  for (let i = d - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  let corners = [[0, 1]];
  for (let i = 0; i < d; i++) {
    if (i === ix || i === iy) continue;
    const low = Math.min(Math.floor(held[i]), shape[i] - 1), high = Math.min(low + 1, shape[i] - 1), f = held[i] - low;
    corners = corners.flatMap(([offset, w]) => f > 1e-9 ? [[offset + low * strides[i], w * (1 - f)], [offset + high * strides[i], w * f]] : [[offset + low * strides[i], w]]);
  }
  const nx = shape[ix], ny = iy < 0 ? 1 : shape[iy], stepY = iy < 0 ? 0 : strides[iy], out = new Float32Array(nx * ny);
  for (const [offset, w] of corners)
    for (let r = 0; r < ny; r++) for (let c = 0; c < nx; c++) out[r * nx + c] += w * volume[offset + r * stepY + c * strides[ix]];
  return out;
}

// Resample columns x0.. and rows y0.. of an (ny, nx) field on an (m, n) grid, both with points at their ends, by cubic
// B-splines over the grid's values: straight slopes are kept, and a steep edge across the grid is not drawn as a stair.
function splineRow(count, first, n) {
  const row = [], width = count - 1 - first;
  for (let c = 0; c < n; c++) {
    const u = first + (n > 1 ? c / (n - 1) * width : 0), j = Math.max(first, Math.min(Math.floor(u), count - 2)), f = u - j;
    const w = [(1 - f) ** 3 / 6, (3 * f ** 3 - 6 * f * f + 4) / 6, (-3 * f ** 3 + 3 * f * f + 3 * f + 1) / 6, f ** 3 / 6];
    // Beyond the ends the field goes on straight.
    if (j - 1 < first) { w[1] += 2 * w[0]; w[2] -= w[0]; w[0] = 0; }
    if (j + 2 > count - 1) { w[2] += 2 * w[3]; w[1] -= w[3]; w[3] = 0; }
    row.push([[-1, 0, 1, 2].map(d => Math.min(Math.max(j + d, first), count - 1)), w]);
  }
  return row;
}
function resample(field, nx, ny, x0, y0, n, m) {
  const across = splineRow(nx, x0, n), up = splineRow(ny, y0, m), half = new Float32Array(ny * n), out = new Float32Array(n * m);
  for (let i = y0; i < ny; i++) for (let c = 0; c < n; c++) { const [j, w] = across[c], o = i * nx; half[i * n + c] = w[0] * field[o + j[0]] + w[1] * field[o + j[1]] + w[2] * field[o + j[2]] + w[3] * field[o + j[3]]; }
  for (let r = 0; r < m; r++) { const [i, w] = up[r]; for (let c = 0; c < n; c++) out[r * n + c] = w[0] * half[i[0] * n + c] + w[1] * half[i[1] * n + c] + w[2] * half[i[2] * n + c] + w[3] * half[i[3] * n + c]; }
  return out;
}

// Segments [u1, v1, u2, v2] (unit coordinates) where regimes a and b are equally likely and none is likelier.
function edgeSegments(p, n, m, a, b) {
  const segments = [], f = i => p[4 * i + a] - p[4 * i + b];
  const others = [0, 1, 2, 3].filter(k => k !== a && k !== b);
  for (let r = 0; r + 1 < m; r++) for (let c = 0; c + 1 < n; c++) {
    const q = [r * n + c, r * n + c + 1, (r + 1) * n + c + 1, (r + 1) * n + c];
    const v = q.map(f);
    if ((v[0] > 0) === (v[1] > 0) && (v[1] > 0) === (v[2] > 0) && (v[2] > 0) === (v[3] > 0)) continue;
    let own = 0, rival = 0;
    for (const i of q) { own += Math.max(p[4 * i + a], p[4 * i + b]); rival += Math.max(p[4 * i + others[0]], p[4 * i + others[1]]); }
    if (rival > own) continue;
    const hits = [], at = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]];
    for (let k = 0; k < 4; k++) {
      const k1 = (k + 1) % 4;
      if ((v[k] > 0) === (v[k1] > 0)) continue;
      const t = v[k] / (v[k] - v[k1]);
      hits.push([(at[k][0] + t * (at[k1][0] - at[k][0])) / (n - 1), (at[k][1] + t * (at[k1][1] - at[k][1])) / (m - 1)]);
    }
    for (let k = 0; k + 1 < hits.length; k += 2) segments.push([...hits[k], ...hits[k + 1]]);
  }
  return segments;
}

function entropyBits(p, o) {
  let h = 0;
  for (let k = 0; k < 4; k++) if (p[o + k] > 1e-9) h -= p[o + k] * Math.log2(p[o + k]);
  return h;
}

// Split the entropy of the regime into what more runs would settle and what differs between seeds, in bits.
const SPREAD = [[-1.7320508, 1 / 6], [0, 2 / 3], [1.7320508, 1 / 6]];
function drawsOf(level) {
  let draws = SPREAD.map(([u, w]) => [w, { ...level, mean: level.mean + u * level.sd, sd: 0, steps: [] }]);
  for (const step of level.steps) draws = draws.flatMap(([w, one]) => SPREAD.map(([u, z]) => [w * z, { ...one, steps: [...one.steps, { height: step.height, mean: step.mean + u * step.sd, sd: 0 }] }]));
  return draws;
}
function entropyParts(mem, delay, rule) {
  const p = new Float64Array(4), delays = drawsOf(delay);
  regimesOfLevels(mem, delay, true, rule, p, 0);
  const total = entropyBits(p, 0);
  let seeds = 0;
  for (const [w, one] of drawsOf(mem)) for (const [z, other] of delays) {
    regimesOfLevels(one, other, true, rule, p, 0);
    seeds += w * z * entropyBits(p, 0);
  }
  return { epistemic: Math.max(0, total - seeds), seeds: Math.min(total, seeds) };
}
