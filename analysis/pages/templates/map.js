// The map: what is chosen makes a scene, and the scene is drawn.
"use strict";

const { axes: AXES, colours: COLOURS, runs: RUNS, opened: OPENED, stops: STOPS } = DATA, DARK = "#1d222b";
const IDS = RUNS.columns[0].words, COUNT = IDS.length, RULE = ["threshold", "budget", "form", "gap", "ratio"];
const MANY = 1000, CELL = 20, STRIP = [-0.1, -0.035], INSIDE = [0, 0, 1, 1], state = { ...OPENED }, map = $("map");
let labels = [], scene = {}, placed = [], cells = [];
const escapeHtml = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const fmt = v => typeof v !== "number" ? v ?? "" :
  Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en-US") : String(+v.toPrecision(3));
// The value at a unit of an axis, 0 at its low end and 1 at its high; zero on a logarithmic axis has a strip below.
const valueAt = ({ scale, low, high, zero }, u) =>
  zero && u < STRIP[1] ? 0 : scale === "log" ? low * (high / low) ** u : low + u * (high - low);
// The values of a column of the runs: numbers, words that each run names by a code, steps, or the regime.
function valuesOf(column) {
  const v = i => numbers(column)[i];
  if (!column.data) return i => (column.steps ? steps(column.steps)[i] : NAMES[labels[i].regime]);
  return i => column.words ? column.words[v(i)] : Number.isFinite(v(i)) ? v(i) : null;
}
const UNITS = AXES.map(axis => numbers(axis.runs)), fate = valuesOf(RUNS.fate);
const steps = name => numbers(RUNS.milestones[state.threshold][name]);
const soonest = name => steps(`${name}_from` in RUNS.milestones[state.threshold] ? `${name}_from` : name);
const chosen = () => (state.run ? IDS.indexOf(state.run) : -1);
const levelNumber = () => DATA.levels.findIndex(one => one.name === state.level);
const drawnAxes = () => [state.x, state.y].map(name => AXES.find(axis => axis.name === name) ?? DATA.probability);
const isOwn = () => ["threshold", "budget", "form", state.form].every(name => state[name] === OPENED[name]);
const stopOf = name => STOPS[name].indexOf(state[name]), clamp = (v, low, high) => Math.min(Math.max(v, low), high);

// All that depends on level, axes, slice and rule: log probabilities at the grid's points, and drawn finer
// probabilities, the likeliest regimes and edges; and the runs' labels.
function compute() {
  const [x, y] = drawnAxes(), [ix, iy] = [x, y].map(axis => AXES.indexOf(axis)), own = isOwn();
  const level = DATA.levels[levelNumber()], times = level.times[state.threshold], count = x.size * y.size;
  const points = AXES.map((axis, k) => (k === ix || k === iy ? axis.grid : axis.slices[stopOf(`at.${axis.name}`)]));
  const rule = { budget: state.budget, grokkingFrom: t => (state.form === "gap" ? t + state.gap : t * state.ratio) };
  // The slice of a field, x fastest; a number is the same everywhere.
  const cut = field => {
    if (typeof field === "number") return new Float32Array(count).fill(field);
    const plane = AXES.reduceRight((grid, axis, k) => ask(grid, axis.size, points[k]), numbers(field));
    return ix < iy ? ask(plane, y.size, points[iy]) : plane;
  };
  const cutAll = fields => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, cut(field)]));
  const parts = name => times[name].map(({ noise, ...fields }) => ({ noise, ...cutAll(fields) }));
  const layers = { time: cut(times.median),
    ...(own ? cutAll(level.own) : relabelled(parts("mem"), parts("delay"), count, rule)) };
  const draw = name => ask(ask(layers[name], x.size, x.fine), y.size, y.fine), n = x.fine.count, m = y.fine.count;
  const p = new Float32Array(4 * n * m), best = new Uint8Array(n * m);
  NAMES.forEach((name, k) => draw(name).forEach((v, i) => { p[4 * i + k] = Math.exp(v); }));
  for (let i = 0, o = 0; i < n * m; i++, o += 4) {
    const sum = p[o] + p[o + 1] + p[o + 2] + p[o + 3];
    for (let k = 0; k < 4; k++) { p[o + k] /= sum; if (p[o + k] > p[o + best[i]]) best[i] = k; }
  }
  labels = IDS.map((_, i) => labelRun(...["mem", "gen"].map(name => [soonest(name)[i], steps(name)[i]]), rule));
  const unit = i => [x.fine.low + x.fine.step * (i % n), y.fine.low + y.fine.step * Math.floor(i / n)];
  // The layers of uncertainty are Python's, under the fitted rule only.
  const layer = !own && DATA.layers[state.layer]?.own ? "regimes" : state.layer;
  scene = { x, y, ix, iy, n, m, own, layer, layers, draw, p, best, unit };
  scene.edges = edgesOf(scene);
}

// How unit coordinates of two axes become places in a box, strips for zero included, and back.
function placer(box, x, y) {
  const [left, top, width, height] = box;
  const [lowX, lowY] = [x, y].map(axis => (axis.zero ? STRIP[0] : 0)), bottom = top + height;
  return { box, px: u => left + (u - lowX) / (1 - lowX) * width, py: v => bottom - (v - lowY) / (1 - lowY) * height,
    units: (a, b) => [lowX + (a - left) / width * (1 - lowX), lowY + (bottom - b) / height * (1 - lowY)] };
}
// What is inside an element but for margins; a page in a frame may be drawn before it has a size.
const boxIn = (svg, across, up) => [Math.max(svg.clientWidth - across, 1), Math.max(svg.clientHeight - up, 1)];
const placeOnMap = () => placer([62, 10, ...boxIn(map, 74, 56)], ...drawnAxes());
// The frame of a box: its lines, the ticks and the name of each axis.
function frame({ px, py, box: [left, top, width, height] }, x, y) {
  const bottom = top + height, line = d => `<path d="${d}" fill="none" stroke="currentColor"/>`;
  const across = ([text, u]) => line(`M${px(u)},${bottom}v4`) + `<text x="${px(u)}" y="${bottom + 16}">${text}</text>`;
  const up = ([text, v]) => line(`M${left},${py(v)}h-4`) + `<text x="${left - 7}" y="${py(v) + 4}">${text}</text>`;
  return `<g fill="currentColor" font-size="11">${line(`M${left},${top}V${bottom}H${left + width}`)}` +
    `<g text-anchor="middle">${x.ticks.map(across).join("")}</g><g text-anchor="end">${y.ticks.map(up).join("")}</g>` +
    `<g text-anchor="middle" font-size="13"><text x="${left + width / 2}" y="${bottom + 36}">${escapeHtml(x.label)}` +
    `</text><text transform="translate(13,${top + height / 2}) rotate(-90)">${escapeHtml(y.label)}</text></g></g>`;
}
const rect = ({ px, py }, [u, v, right, top], look, element = "rect") =>
  `<${element} x="${px(u)}" y="${py(top)}" width="${px(right) - px(u)}" height="${py(v) - py(top)}" ${look}/>`;

// A picture of the drawn points; paint(i) gives red, green, blue, opacity. A point is the middle of its pixel.
function picture(place, paint) {
  const { n, m, x, y } = scene, image = new ImageData(n, m);
  const canvas = Object.assign(document.createElement("canvas"), { width: n, height: m });
  for (let i = 0; i < n * m; i++) image.data.set(paint(i), 4 * ((m - 1 - Math.floor(i / n)) * n + i % n));
  canvas.getContext("2d").putImageData(image, 0, 0);
  const look = `preserveAspectRatio="none" href=${JSON.stringify(canvas.toDataURL())}`;
  return rect(place, [x.fine.ends[0], y.fine.ends[0], x.fine.ends[1], y.fine.ends[1]], look, "image");
}
function ground(place) {
  const { p, best, layer, layers, edges, draw } = scene, { px, py } = place;
  const scale = DATA.layers[layer], values = scale && draw(layer);
  const ramp = v => DATA.ramp[Math.round(255 * clamp((v - scale.low) / (scale.high - scale.low), 0, 1))];
  const blend = o => [0, 1, 2].map(c => DATA.rgb.reduce((sum, rgb, k) => sum + p[o + k] * rgb[c], 0));
  const colour = i => values ? ramp(values[i]) : layer === "likeliest" ? DATA.rgb[best[i]] : blend(4 * i);
  const parts = [picture(place, i => [...colour(i), 255])], pairs = Object.keys(edges).filter(pair => layers[pair]);
  for (const [name, edge, fill] of state.bands ? DATA.bands : []) {
    const inside = new Uint8Array(best.length);
    for (const pair of pairs) {
      const [a, b] = pair.split("|").map(one => NAMES.indexOf(one));
      draw(pair).forEach((odds, i) => {
        if (Math.abs(odds) <= edge && p[4 * i + a] + p[4 * i + b] > 0.5) inside[i] = 255;
      });
    }
    parts.push(`<mask id="${name}">${picture(place, i => [255, 255, 255, inside[i]])}</mask>`);
    parts.push(rect(place, [STRIP[0], STRIP[0], 1, 1], `fill="${fill}" mask="url(#${name})"`));
  }
  const point = (u, v) => `${px(u).toFixed(1)},${py(v).toFixed(1)}`;
  const d = Object.values(edges).flat().map(s => `M${point(s[0], s[1])}L${point(s[2], s[3])}`).join("");
  for (const look of state.bands ? ['stroke="white" stroke-width="4.5"', `stroke="${DARK}" stroke-width="2.2"`] : [])
    parts.push(`<path class="edge" d="${d}" ${look} stroke-linecap="round"/>`);
  return parts.join("");
}
// With one axis the regimes' probabilities are stacked over it: what lies below regime k at a drawn point.
const below = (c, k) => scene.p.subarray(4 * c, 4 * c + k).reduce((a, b) => a + b, 0);
function profile({ px, py }) {
  const points = [...Array(scene.n).keys()].map(c => [c, px(scene.unit(c)[0]).toFixed(1)]);
  const outline = k => points.map(([c, x]) => `${x},${py(below(c, k)).toFixed(1)}`);
  return COLOURS.map((colour, k) =>
    `<polygon points="${[...outline(k), ...outline(k + 1).reverse()].join(" ")}" fill="${colour}"/>`).join("");
}
// Each regime's name in the middle row of its region, whole inside the box.
function names({ px, py }) {
  const { n, best, unit } = scene, look = 'text-anchor="middle" font-size="14" font-weight="700" stroke-width="4"';
  return `<g ${look} paint-order="stroke">${NAMES.map((name, k) => {
    const region = [...best.keys()].filter(i => best[i] === k), room = 4.4 * name.length / (px(1) - px(0));
    if (region.length < 0.01 * best.length) return "";
    const rowOf = i => Math.floor(i / n), row = region.filter(i => rowOf(i) === rowOf(region[region.length >> 1]));
    const [u, v] = unit(row[row.length >> 1]), x = px(clamp(u, room, 1 - room)), y = py(v) + 5;
    return `<text x="${x}" y="${y}" fill="${DATA.inks[k]}" stroke="${COLOURS[k]}">${name}</text>`;
  }).join("")}</g>`;
}

const markKind = i =>
  fate(i) || (labels[i].known ? ["confused", "censored", "generalised", "generalised"][labels[i].regime] : "uncertain");
const mark = (kind, x, y, size, colour, more = "") => `<use href="#mark-${kind}" fill="${colour}" ` +
  `transform="translate(${x.toFixed(1)},${y.toFixed(1)}) scale(${size})" stroke-width="${1 / size}" ${more}/>`;
// A run is near the slice if it lies within 1/6 of the box on every axis that is held. In a profile it stands in the
// band of its own regime, spread so that neighbours do not hide each other. Many runs are counted in cells.
function placeRuns({ px, py }) {
  const across = UNITS[scene.ix], up = UNITS[scene.iy], level = levelNumber(), levels = numbers(RUNS.level);
  const aside = AXES.flatMap((axis, k) => axis === scene.x || axis === scene.y ? [] :
    [[UNITS[k], axis.units[stopOf(`at.${axis.name}`)]]]), isZero = u => u < STRIP[1];
  const near = i => aside.every(([u, at]) => Math.abs(u[i] - at) <= 1 / 6 && isZero(u[i]) === isZero(at));
  const inBand = i => {
    const c = Math.round(clamp(across[i], 0, 1) * (scene.n - 1)), k = labels[i].regime;
    return below(c, k) + scene.p[4 * c + k] * (0.12 + 0.76 * ((i * 0.618034) % 1));
  };
  placed = IDS.map((_, i) => ({ i, far: !near(i) })).filter(({ i, far }) => levels[i] === level && (!far || state.all));
  for (const d of placed) Object.assign(d, { x: px(across[d.i]), y: py(up ? up[d.i] : inBand(d.i)) });
  const middle = v => (Math.floor(v / CELL) + 0.5) * CELL;
  const groups = Map.groupBy(placed.length > MANY ? placed : [], d => `${middle(d.x)} ${middle(d.y)}`);
  cells = [...groups.values()].map(runs => ({ x: middle(runs[0].x), y: middle(runs[0].y),
    total: runs.length, counts: NAMES.map((_, k) => runs.filter(d => labels[d.i].regime === k).length) }));
}
const placedRun = (i = chosen()) => placed.find(d => d.i === i);
const most = () => cells.reduce((high, cell) => Math.max(high, cell.total), 1);
function drawRuns() {
  const size = placed.length > 600 ? 3 : placed.length > 250 ? 3.8 : 4.8, at = placedRun();
  const ofCell = ({ x, y, counts, total }) => mark("generalised", x, y, Math.max(1.5, 7.2 * Math.sqrt(total / most())),
    COLOURS[counts.indexOf(Math.max(...counts))], 'class="cell"');
  const ofRun = ({ i, x, y, far }) =>
    mark(markKind(i), x, y, far ? size * 0.75 : size, COLOURS[labels[i].regime], far ? 'opacity=".25"' : "");
  const marks = cells.length ? cells.map(ofCell) : placed.map(ofRun);
  return marks.join("") + (at ? mark("ring", at.x, at.y, size + 5, "none") : "");
}
function drawMap() {
  const { x, y, iy } = scene, place = placeOnMap();
  const strips = [x.zero && [STRIP[0], 0, STRIP[1], 1], y.zero && [0, STRIP[0], 1, STRIP[1]]].filter(Boolean);
  placeRuns(place);
  $("drawing").innerHTML = `<clipPath id="box">${[INSIDE, ...strips].map(one => rect(place, one, "")).join("")}` +
    `</clipPath><g clip-path="url(#box)">${iy < 0 ? profile(place) : ground(place)}</g>` +
    rect(place, INSIDE, 'fill="none" stroke="currentColor"') + frame(place, x, y) +
    (state.runs ? drawRuns() : "") + (iy >= 0 && !DATA.layers[scene.layer] ? names(place) : "");
}
