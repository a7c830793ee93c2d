// Numbers the page carries: cut to a slice, drawn finer, and under another rule the regimes that the times imply.
"use strict";

function bytesOf(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
const floats = text => new Float32Array(bytesOf(text).buffer);

// A packed field is {data, scale, offset}: base64 of int16, value = q * scale + offset, the least int16 is "none".
function unpack(field) {
  const q = new Int16Array(bytesOf(field.data).buffer), out = new Float32Array(q.length);
  for (let i = 0; i < q.length; i++) out[i] = q[i] === -32768 ? NaN : q[i] * field.scale + field.offset;
  return out;
}

// Cut a grid (C order over `shape`) at indices `held` of all axes but ix and iy: (ny, nx), x fastest. Between two
// indices the values are interpolated.
function cutGrid(values, shape, ix, iy, held) {
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  let corners = [[0, 1]];
  shape.forEach((n, d) => {
    if (d === ix || d === iy) return;
    const low = Math.min(Math.floor(held[d]), n - 1), f = held[d] - low, ends = [[low, 1 - f]];
    if (f > 1e-9) ends.push([Math.min(low + 1, n - 1), f]);
    corners = corners.flatMap(([offset, w]) => ends.map(([at, v]) => [offset + at * strides[d], w * v]));
  });
  const nx = shape[ix], ny = iy < 0 ? 1 : shape[iy], up = iy < 0 ? 0 : strides[iy], out = new Float32Array(nx * ny);
  for (const [offset, w] of corners)
    for (let r = 0; r < ny; r++)
      for (let c = 0; c < nx; c++) out[r * nx + c] += w * values[offset + r * up + c * strides[ix]];
  return out;
}

// Weights of a Catmull-Rom spline through points first..count-1, asked at n places: [four indices, four weights] each.
// The points themselves are among the places, and keep their values.
function spline(count, first, n) {
  const width = count - 1 - first, clamp = j => Math.min(Math.max(j, first), count - 1);
  return Array.from({ length: n }, (_, c) => {
    const u = first + (n > 1 ? c / (n - 1) * width : 0), j = clamp(Math.min(Math.floor(u + 1e-9), count - 2));
    const f = u - j;
    const w = [(-f + 2 * f * f - f ** 3) / 2, (2 - 5 * f * f + 3 * f ** 3) / 2, (f + 4 * f * f - 3 * f ** 3) / 2];
    w.push((f ** 3 - f * f) / 2);
    // Beyond the ends the field goes on straight.
    if (j - 1 < first) { w[1] += 2 * w[0]; w[2] -= w[0]; w[0] = 0; }
    if (j + 2 > count - 1) { w[2] += 2 * w[3]; w[1] -= w[3]; w[3] = 0; }
    return [[-1, 0, 1, 2].map(d => clamp(j + d)), w];
  });
}
// Draw an (ny, nx) field, without its first x0 columns and y0 rows, on m rows of n points.
function finer(field, nx, ny, x0, y0, n, m) {
  const half = new Float32Array(ny * n), out = new Float32Array(n * m);
  spline(nx, x0, n).forEach(([j, w], c) => {
    const [a, b, d, e] = j;
    for (let i = y0, o = y0 * nx; i < ny; i++, o += nx)
      half[i * n + c] = w[0] * field[o + a] + w[1] * field[o + b] + w[2] * field[o + d] + w[3] * field[o + e];
  });
  spline(ny, y0, m).forEach(([i, w], r) => {
    const [a, b, d, e] = i.map(k => k * n);
    for (let c = 0; c < n; c++)
      out[r * n + c] = w[0] * half[a + c] + w[1] * half[b + c] + w[2] * half[d + c] + w[3] * half[e + c];
  });
  return out;
}

// The normal distribution function (Abramowitz and Stegun 7.1.26, error below 1e-7).
const ERF = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
function phi(x) {
  const z = Math.abs(x) * Math.SQRT1_2, t = 1 / (1 + 0.3275911 * z);
  const tail = ERF.reduce((sum, a) => (sum + a) * t, 0) * Math.exp(-z * z) / 2;
  return x > 0 ? 1 - tail : tail;
}

const NODES = 11;
// Add, to out[o..o+3], `weight` times the chances of the four regimes where log10 of t_mem and of the delay are normal.
function addRegimes(mean, sd, delay, spread, rule, weight, out, o) {
  const end = (Math.log10(rule.budget) - mean) / sd, memorised = phi(end), step = (Math.min(end, 4) + 4) / NODES;
  let total = 1e-300, within = 0, early = 0;
  for (let k = 0; step > 0 && k < NODES; k++) {
    const z = (k + 0.5) * step - 4, share = Math.exp(-z * z / 2), t = Math.pow(10, mean + sd * z);
    const left = rule.budget - t, need = rule.gap !== null ? rule.gap : (rule.ratio - 1) * t;
    total += share;
    if (left <= 0) continue;
    const reached = phi((Math.log10(left) - delay) / spread);
    within += share * reached;
    early += share * (need <= 0 ? 0 : need < left ? phi((Math.log10(need) - delay) / spread) : reached);
  }
  const scale = weight * memorised / total;
  out[o] += weight * (1 - memorised); out[o + 1] += scale * (total - within);
  out[o + 2] += scale * (within - early); out[o + 3] += scale * early;
}

const at = (field, i) => typeof field === "number" ? field : field[i];
// The regimes of another rule at the points of a slice, from the posterior of the times and the law alone: log
// probabilities for a run with a new seed, and for each pair the log-odds of the side that the median run is on.
function relabelled(times, count, rule) {
  const seeds = new Float64Array(4 * count), median = new Float64Array(4 * count), ways = [[1, times.delay]];
  if (times.law) { ways[0][0] = 1 - times.law.weight; ways.push([times.law.weight, times.law]); }
  for (const [trust, delays] of ways) for (const mem of times.mem.parts) for (const part of delays.parts)
    for (let i = 0; i < count; i++) {
      const w = trust * at(mem.weight, i) * at(part.weight, i);
      const sm = Math.max(at(mem.sd, i), 1e-3), sd = Math.max(at(part.sd, i), 1e-3);
      if (w < 1e-4) continue;
      const noisy = [Math.hypot(sm, times.mem.noise), part.mean[i], Math.hypot(sd, delays.noise)];
      addRegimes(mem.mean[i], ...noisy, rule, w, seeds, 4 * i);
      addRegimes(mem.mean[i], sm, part.mean[i], sd, rule, w, median, 4 * i);
    }
  const layers = {};
  NAMES.forEach((a, j) => {
    layers[a] = Float32Array.from({ length: count }, (_, i) => Math.log(Math.max(seeds[4 * i + j], 1e-5)));
    NAMES.forEach((b, k) => {
      if (j >= k) return;
      layers[`${a}|${b}`] = Float32Array.from({ length: count }, (_, i) => {
        const odds = (median[4 * i + j] + 1e-4) / (median[4 * i + k] + 1e-4);
        return Math.log(Math.min(Math.max(odds, 1e-4), 1e4));
      });
    });
  });
  return layers;
}

// A run's regime under a rule, and whether that is certain: a run stopped before the budget may still have changed.
function labelRun(mem, memEvent, gen, genEvent, rule) {
  const memorised = memEvent && mem <= rule.budget, generalised = genEvent && gen <= rule.budget;
  if (!memorised) return { regime: 0, known: memEvent || mem >= rule.budget };
  if (!generalised) return { regime: 1, known: genEvent || gen >= rule.budget };
  return { regime: (rule.gap !== null ? gen - mem >= rule.gap : gen >= rule.ratio * mem) ? 2 : 3, known: true };
}

// Segments [u1, v1, u2, v2], in unit coordinates, between each two regimes that are likeliest at neighbouring points:
// where the two are equally likely.
function edgesOf(p, best, n, m) {
  const found = {};
  for (let r = 0; r + 1 < m; r++) for (let c = 0; c + 1 < n; c++) {
    const i = r * n + c, q = [i, i + 1, i + n + 1, i + n];
    if (best[q[0]] === best[q[1]] && best[q[1]] === best[q[2]] && best[q[2]] === best[q[3]]) continue;
    const here = [...new Set(q.map(j => best[j]))].sort(), at = [[c, r], [c + 1, r], [c + 1, r + 1], [c, r + 1]];
    for (const a of here) for (const b of here) {
      if (a >= b) continue;
      const v = q.map(j => Math.log((p[4 * j + a] + 1e-6) / (p[4 * j + b] + 1e-6))), hits = [];
      for (let k = 0, l = 1; k < 4; k++, l = (k + 1) % 4) {
        if ((v[k] > 0) === (v[l] > 0)) continue;
        const t = v[k] / (v[k] - v[l]), place = d => at[k][d] + t * (at[l][d] - at[k][d]);
        hits.push(place(0) / (n - 1), place(1) / (m - 1));
      }
      const key = `${NAMES[a]}|${NAMES[b]}`, segments = found[key] || (found[key] = []);
      for (let k = 0; k + 3 < hits.length; k += 4) segments.push(hits.slice(k, k + 4));
    }
  }
  return found;
}
