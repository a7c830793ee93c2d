// The panel under another rule than the fitted one: hyperparameters, sharpness and weights stay as fitted, the runs'
// labels are taken anew. The same models as in Python, with fewer basis points (the command on the page refits all).
"use strict";

const PANEL = DATA.panel, QUESTIONS = [["memorised", [0], [1, 2, 3]], ["generalised", [1], [2, 3]], ["late", [3], [2]]];
const NEAR = 8, CLOUD = 1024, LEAST_SHARE = 1e-9;
// Weight of a run below which it tells nothing more of the latent: the model is sure of its label already.
const SURE = 1e-5;
const ZEROED = AXES.map((_, k) => k).filter(k => AXES[k].zero);
const rowOf = values => Float64Array.from([...AXES.map((a, k) => a.scale === "log" && values[k] === 0 ? 0 : unitOf(a, values[k])), ...ZEROED.map(k => values[k] === 0 ? 1 : 0)]);
const RUN_ROWS = RUNS.id.map((_, i) => rowOf(AXES.map((_, k) => RUNS.axes[k][i])));

// What a run may be under a rule, by regime: one thing, unless it was stopped too early to say.
function allowedOf(i, rule) {
  const t = RUNS.milestones[rule.threshold], never = RUNS.outcome[i] === "diverged";
  const mem = never || t.mem[i] === null ? Infinity : t.mem[i], gen = never || t.gen[i] === null ? Infinity : t.gen[i];
  const memorised = t.mem_event[i] ? mem <= rule.budget : mem < rule.budget, generalised = t.gen_event[i] ? gen <= rule.budget : gen < rule.budget;
  const late = rule.gap !== null ? gen - mem >= rule.gap : gen >= rule.ratio * mem;
  return [!t.mem_event[i] || mem > rule.budget, memorised && (!t.gen_event[i] || gen > rule.budget), memorised && generalised && (!t.gen_event[i] || late), memorised && generalised && (t.gen_event[i] || t.mem_event[i] ? !late : true)];
}

// Rows that cover the points, each farthest from those before it.
function spreadRows(points, count) {
  if (points.length <= count) return points.map((_, i) => i);
  const near = new Float64Array(points.length).fill(Infinity), chosen = [];
  for (let at = 0; chosen.length < count;) {
    chosen.push(at);
    let next = 0;
    points.forEach((p, i) => { let s = 0; for (let d = 0; d < p.length; d++) s += (p[d] - points[at][d]) ** 2; near[i] = Math.min(near[i], s); if (near[i] > near[next]) next = i; });
    at = next;
  }
  return chosen;
}
const BASIS = spreadRows(RUN_ROWS, N_RUNS > 400 ? 110 : 160).map(i => RUN_ROWS[i]);

function cholesky(a, n) {
  for (let j = 0; j < n; j++) for (let i = j; i < n; i++) {
    let s = a[i * n + j];
    for (let k = 0; k < j; k++) s -= a[i * n + k] * a[j * n + k];
    a[i * n + j] = i === j ? Math.sqrt(Math.max(s, 1e-12)) : s / a[j * n + j];
  }
  return a;
}
function forward(L, n, x, o) { for (let i = 0; i < n; i++) { let s = x[o + i]; const r = i * n; for (let k = 0; k < i; k++) s -= L[r + k] * x[o + k]; x[o + i] = s / L[r + i]; } }
function backward(L, n, x) { for (let i = n - 1; i >= 0; i--) { let s = x[i]; for (let k = i + 1; k < n; k++) s -= L[k * n + i] * x[k]; x[i] = s / L[i * n + i]; } }

const expit = u => 1 / (1 + Math.exp(-u)), WIDER = Math.PI / 8;

// One regime against the rest: a latent whose sign says which, given the runs' labels (Laplace's approximation).
class Latent {
  constructor(kernel) {
    this.kernel = kernel; this.n = BASIS.length;
    const n = this.n, K = new Float64Array(n * n);
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) K[i * n + j] = this.covariance(BASIS[i], BASIS[j]);
    for (let i = 0; i < n; i++) K[i * n + i] += 1e-8 * (1 + K[i * n + i]);
    this.root = cholesky(K, n); this.seen = this.coordinates(RUN_ROWS); this.mean = new Float64Array(n);
  }
  covariance(a, b) {
    const { lengths, amplitude, slope, constant, smooth } = this.kernel;
    let square = 0, dot = 0;
    for (let d = 0; d < a.length; d++) { square += ((a[d] - b[d]) / lengths[d]) ** 2; dot += (a[d] - 0.5) * (b[d] - 0.5); }
    const r = Math.sqrt(5 * square);
    return amplitude ** 2 * (smooth ? Math.exp(-square / 2) : (1 + r + r * r / 3) * Math.exp(-r)) + slope ** 2 * dot + constant;
  }
  // Per row, its coordinates in the basis and the variance the basis does not reach.
  coordinates(rows) {
    const n = this.n, A = new Float64Array(n * rows.length), rest = new Float64Array(rows.length);
    rows.forEach((row, i) => {
      for (let k = 0; k < n; k++) A[i * n + k] = this.covariance(BASIS[k], row);
      forward(this.root, n, A, i * n);
      let s = this.covariance(row, row);
      for (let k = 0; k < n; k++) s -= A[i * n + k] ** 2;
      rest[i] = Math.max(s, 0);
    });
    return { A, rest };
  }
  fit(signs) {
    const n = this.n, { A, rest } = this.seen, rows = signs.map((_, i) => i).filter(i => signs[i] !== 0), positive = rows.filter(i => signs[i] > 0).length;
    this.centre = this.kernel.constant ? Math.log((positive + 0.5) / (rows.length - positive + 0.5)) : 0;
    const latent = (v, i) => { let f = this.centre; const o = i * n; for (let k = 0; k < n; k++) f += v[k] * A[o + k]; return f; };
    const width = i => Math.sqrt(1 + WIDER * rest[i]);
    // The log posterior is concave: with steps that are halved until it rises, Newton's method finds its only top.
    const height = v => {
      let sum = 0;
      for (let k = 0; k < n; k++) sum -= v[k] * v[k] / 2;
      for (const i of rows) { const u = signs[i] * latent(v, i) / width(i); sum -= u > 0 ? Math.log1p(Math.exp(-u)) : Math.log1p(Math.exp(u)) - u; }
      return sum;
    };
    let v = this.mean, best = height(v), H;
    if (best < height(new Float64Array(n))) { v = new Float64Array(n); best = height(v); }
    for (let turn = 0, gain = Infinity; turn < 40 && gain > 1e-4; turn++) {
      const force = new Float64Array(n);
      H = new Float64Array(n * n);
      for (const i of rows) {
        const f = latent(v, i), tau = width(i), wrong = expit(-signs[i] * f / tau), weight = Math.max(wrong * (1 - wrong), 1e-12) / tau ** 2, first = signs[i] * wrong / tau;
        const own = A.subarray(i * n, i * n + n);
        for (let a = 0; a < n; a++) force[a] += first * own[a];
        if (weight < SURE) continue;
        for (let a = 0; a < n; a++) { const w = weight * own[a], r = a * n; for (let b = 0; b <= a; b++) H[r + b] += w * own[b]; }
      }
      for (let a = 0; a < n; a++) { H[a * n + a] += 1; force[a] -= v[a]; }
      cholesky(H, n); forward(H, n, force, 0); backward(H, n, force);
      let next = v, reached = best;
      for (let scale = 1; scale > 1e-3; scale /= 2) {
        next = v.map((value, a) => value + scale * force[a]); reached = height(next);
        if (reached >= best - 1e-9) break;
      }
      gain = reached - best; v = next; best = reached;
    }
    this.mean = v; this.hessian = H;
  }
  predict({ A, rest }) {
    const n = this.n, count = rest.length, mean = new Float64Array(count), variance = new Float64Array(count), b = new Float64Array(n);
    for (let i = 0; i < count; i++) {
      let m = this.centre, s = rest[i];
      for (let k = 0; k < n; k++) { b[k] = A[i * n + k]; m += this.mean[k] * b[k]; }
      forward(this.hessian, n, b, 0);
      for (let k = 0; k < n; k++) s += b[k] * b[k];
      mean[i] = m; variance[i] = s;
    }
    return { mean, variance };
  }
}

// The nearest `count` of `nodes` to each row: indices and distances, nearest first.
function nearestNodes(rows, nodes, count, self) {
  return rows.map((row, i) => {
    const index = [], far = [];
    nodes.forEach((node, j) => {
      if (self && i === j) return;
      let s = 0;
      for (let d = 0; d < row.length; d++) s += (row[d] - node[d]) ** 2;
      if (index.length === count && s >= far[count - 1]) return;
      let at = index.length < count ? index.length : count - 1;
      for (; at > 0 && far[at - 1] > s; at--) { index[at] = index[at - 1]; far[at] = far[at - 1]; }
      index[at] = j; far[at] = s;
    });
    return { index, far: far.map(Math.sqrt) };
  });
}
const median = values => values.sort((a, b) => a - b)[values.length >> 1];

// Labels spread over a graph of neighbours until each unlabelled node is its neighbours' mean.
class Propagation {
  constructor(scale) {
    this.scale = scale;
    const D = RUN_ROWS[0].length, cloud = [], share = ZEROED.map((_, z) => RUN_ROWS.reduce((s, r) => s + r[AXES.length + z], 0) / N_RUNS);
    let root = 2;
    for (let k = 0; k < 30; k++) root = Math.pow(1 + root, 1 / (D + 1));
    for (let i = 1; i <= CLOUD; i++) cloud.push(Float64Array.from({ length: D }, (_, d) => { const u = (0.5 + i * Math.pow(root, -(d + 1))) % 1; return d < AXES.length ? u : +(u < share[d - AXES.length]); }));
    this.nodes = [...RUN_ROWS, ...cloud].map(row => this.scaled(row));
    const near = nearestNodes(this.nodes, this.nodes, NEAR, true), width = median(near.flatMap(n => n.far)) + 1e-9;
    this.links = this.nodes.map(() => new Map());
    near.forEach(({ index, far }, i) => index.forEach((j, k) => { const w = Math.exp(-0.5 * (far[k] / width) ** 2) + 1e-6; for (const [a, b] of [[i, j], [j, i]]) this.links[a].set(b, Math.max(w, this.links[a].get(b) || 0)); }));
    this.links = this.links.map(m => [...m]);
    this.values = this.nodes.map(() => [0.25, 0.25, 0.25, 0.25]);
  }
  scaled(row) { return row.map((v, d) => v * this.scale[d]); }
  fit(allowed) {
    const free = this.nodes.map((_, i) => i);
    for (let i = 0; i < N_RUNS; i++) { const only = allowed[i].filter(Boolean).length === 1; if (only) { this.values[i] = allowed[i].map(Number); free[i] = -1; } }
    const order = free.filter(i => i >= 0);
    for (let sweep = 0, moved = 1; sweep < 150 && moved > 1e-4; sweep++) {
      moved = 0;
      for (const i of order) {
        const mean = [0, 0, 0, 0];
        let total = 0;
        for (const [j, w] of this.links[i]) { total += w; for (let k = 0; k < 4; k++) mean[k] += w * this.values[j][k]; }
        for (let k = 0; k < 4; k++) { mean[k] /= total; moved = Math.max(moved, Math.abs(mean[k] - this.values[i][k])); }
        this.values[i] = mean;
      }
    }
  }
  near(rows) { const found = nearestNodes(rows.map(r => this.scaled(r)), this.nodes, NEAR, false), width = median(found.map(n => n.far[NEAR - 1])) / 2 + 1e-9; return found.map(({ index, far }) => ({ index, weight: far.map(d => Math.exp(-0.5 * (d / width) ** 2) + 1e-12) })); }
  predict(near, k) {
    return Float64Array.from(near, ({ index, weight }) => { let s = 0, total = 0; index.forEach((j, n) => { s += weight[n] * this.values[j][k]; total += weight[n]; }); return 0.0025 + 0.99 * s / total; });
  }
}

const FITTED = { processes: {}, rule: "" }, ASKED = {};

// What is to be made before the first fit, piece by piece: the page makes the pieces while nobody asks anything of it.
const TO_MAKE = [
  ...Object.entries(PANEL.processes).flatMap(([name, kernels]) => { FITTED.processes[name] = []; return kernels.map((kernel, k) => () => { FITTED.processes[name][k] = new Latent(kernel); }); }),
  () => { FITTED.propagation = new Propagation(PANEL.scale); },
];
const makeAll = () => { while (TO_MAKE.length) TO_MAKE.shift()(); };

// The pieces of a fit to the runs as a rule labels them.
function fittings(rule) {
  const allowed = RUN_ROWS.map((_, i) => allowedOf(i, rule));
  const oneOrRest = k => a => a[k] ? (a.filter(Boolean).length === 1 ? 1 : 0) : -1;
  // A question is asked of runs that can be nothing beside its answers.
  const asked = ([, no, yes]) => a => a.some((may, k) => may && !no.includes(k) && !yes.includes(k)) ? 0 : !no.some(k => a[k]) ? 1 : !yes.some(k => a[k]) ? -1 : 0;
  return [
    ...FITTED.processes.labels.map((latent, q) => () => latent.fit(allowed.map(asked(QUESTIONS[q])))),
    ...FITTED.processes.plain.map((latent, k) => () => latent.fit(allowed.map(oneOrRest(k)))),
    () => FITTED.propagation.fit(allowed),
  ];
}
function fitMembers(rule) {
  const key = JSON.stringify(rule);
  if (FITTED.rule === key) return;
  makeAll(); fittings(rule).forEach(fit => fit());
  FITTED.rule = key;
}
// Make the members and fit them to the fitted rule in idle moments, so that a slider's first move need not wait for it.
function warmUp() {
  const idle = window.requestIdleCallback || (task => setTimeout(task, 20)), rule = { ...DATA.rule };
  let fits = null;
  const turn = () => {
    if (FITTED.rule) return;
    if (TO_MAKE.length) TO_MAKE.shift()();
    else { fits = fits || fittings(rule); fits.shift()(); }
    if (fits && !fits.length) FITTED.rule = JSON.stringify(rule); else idle(turn);
  };
  idle(turn);
}

// Rows of the slice's coarse grid, x fastest; kept, with their coordinates, until another slice is asked for.
function askedSlice(nx, ny) {
  const key = JSON.stringify([state.ix, state.iy, state.held]);
  if (ASKED.key !== key) {
    const at = (k, i) => { const z = zeroOffset(k); return z && i === 0 ? 0 : valueAt(AXES[k], (i - z) / (AXES[k].n - 1 - z)); };
    const rows = [];
    for (let r = 0; r < ny; r++) for (let c = 0; c < nx; c++) rows.push(rowOf(AXES.map((_, k) => k === state.ix ? at(k, c) : k === state.iy ? at(k, r) : heldValue(k))));
    const coordinates = Object.fromEntries(Object.entries(FITTED.processes).map(([name, latents]) => [name, latents.map(latent => latent.coordinates(rows))]));
    Object.assign(ASKED, { key, coordinates, near: FITTED.propagation.near(rows) });
  }
  return ASKED;
}

// Every member's probabilities on the coarse grid (arrays of 4 numbers a point) and how sure each is of the median run.
function membersOn(cut, nx, ny, rule) {
  fitMembers(rule);
  const asked = askedSlice(nx, ny), count = nx * ny, members = {};
  const sharpened = (p, power) => { for (let i = 0; i < count; i++) { let total = 0; for (let k = 0; k < 4; k++) total += p[4 * i + k] = Math.pow(Math.max(p[4 * i + k], 1e-12), power); for (let k = 0; k < 4; k++) p[4 * i + k] /= total; } return p; };
  const ratio = m => (i, a, b) => (m[4 * i + a] + LEAST_SHARE) / (m[4 * i + a] + m[4 * i + b] + 2 * LEAST_SHARE);
  for (const name of PANEL.names) {
    const p = new Float64Array(4 * count);
    if (name === "times" || name === "law") {
      const middle = new Float64Array(4 * count), law = name === "law";
      for (let i = 0; i < count; i++) {
        const mem = levelAt(cut, "t_mem", i), delay = law ? { mean: cut.law_delay[i], sd: 0, noise: PANEL.law_noise, steps: [] } : levelAt(cut, "delay", i);
        regimesOfLevels(mem, delay, true, rule, p, 4 * i);
        regimesOfLevels(mem, delay, false, rule, middle, 4 * i);
      }
      members[name] = { p, side: ratio(middle) };
    } else if (name === "propagation") {
      for (let k = 0; k < 4; k++) FITTED.propagation.predict(asked.near, k).forEach((v, i) => { p[4 * i + k] = v; });
      members[name] = { side: ratio(p.slice()), p: sharpened(p, PANEL.sharpness[name]) };
    } else {
      const found = FITTED.processes[name].map((latent, k) => latent.predict(asked.coordinates[name][k]));
      const chance = (q, i) => expit(found[q].mean[i] / Math.sqrt(1 + WIDER * found[q].variance[i])), nested = name === "labels";
      for (let i = 0; i < count; i++) {
        if (!nested) { for (let k = 0; k < 4; k++) p[4 * i + k] = chance(k, i); continue; }
        const memorised = chance(0, i), reached = memorised * chance(1, i), late = chance(2, i);
        p[4 * i] = 1 - memorised; p[4 * i + 1] = memorised - reached; p[4 * i + 2] = reached * late; p[4 * i + 3] = reached * (1 - late);
      }
      const sideOf = (i, a, b) => {
        if (!nested) return phi((found[a].mean[i] - found[b].mean[i]) / Math.sqrt(found[a].variance[i] + found[b].variance[i]));
        const q = deciding(a, b), yes = phi(found[q].mean[i] / Math.sqrt(found[q].variance[i]));
        return QUESTIONS[q][2].includes(a) ? yes : 1 - yes;
      };
      members[name] = { p: sharpened(p, PANEL.sharpness[name]), side: sideOf };
    }
  }
  return members;
}

const deciding = (a, b) => QUESTIONS.findIndex(([, no, yes]) => (no.includes(a) && yes.includes(b)) || (yes.includes(a) && no.includes(b)));

// The mixture on the coarse grid as the fitted rule's is shipped: log probabilities by regime, log-odds of sides by pair.
function relabelled(cut, nx, ny, rule) {
  const members = membersOn(cut, nx, ny, rule), count = nx * ny, found = Object.fromEntries(NAMES.map(name => [name, new Float32Array(count)]));
  const sum = (p, i, set) => set.reduce((s, k) => s + p[4 * i + k], 0), chance = new Float64Array(4 * count);
  for (let i = 0; i < count; i++) {
    let reached = 1;
    for (const [question, no, yes] of QUESTIONS) {
      let good = 1e-12, bad = 1e-12;
      for (const [name, w] of Object.entries(PANEL.trust[question])) { good += w * sum(members[name].p, i, yes); bad += w * sum(members[name].p, i, no); }
      chance[4 * i + no[0]] = reached * bad / (good + bad); reached *= good / (good + bad);
    }
    chance[4 * i + 2] = reached;
    NAMES.forEach((name, k) => { found[name][i] = Math.log(Math.max(chance[4 * i + k], 1e-5)); });
  }
  for (let a = 0; a < 4; a++) for (let b = a + 1; b < 4; b++) {
    const [question] = QUESTIONS[deciding(a, b)];
    found[`${NAMES[a]}|${NAMES[b]}`] = Float32Array.from({ length: count }, (_, i) => {
      const first = chance[4 * i + a] / (chance[4 * i + a] + chance[4 * i + b]);
      let share = 0;
      for (const [name, w] of Object.entries(PANEL.trust[question])) share += w * members[name].side(i, a, b);
      share = Math.min(Math.max(share, 2 * first - 1, 1e-4), 2 * first, 1 - 1e-4);
      return Math.log(share / (1 - share));
    });
  }
  return found;
}
