// What one does with the page: each choice changes the state, which goes into the address and is drawn.
"use strict";

const CONTROLS = all("select, input"), tip = $("tip"), drag = $("drag");
let drawn = "", resting = 0, draws = 0;
function render() {
  const began = performance.now(), { run, filter, sort, measure, ...seen } = state, key = JSON.stringify(seen);
  if (key !== drawn) { compute(); drawn = key; }
  CONTROLS.forEach(showControl); drawMap(); describe(); showRun();
  const words = new URLSearchParams(Object.entries(state).filter(([name, value]) => value !== OPENED[name]));
  if (`${words}` !== location.hash.slice(1)) history.replaceState(null, "", `${location.href.split("#")[0]}#${words}`);
  clearTimeout(resting);
  // A long table, which nobody reads during a drag or while typing, waits for a rest.
  if (COUNT > MANY) resting = setTimeout(fillTable, 250); else fillTable();
  Object.assign(document.body.dataset, { ms: (performance.now() - began).toFixed(1), draws: ++draws });
}
function showControl(control) {
  const { name, type } = control, stops = STOPS[name], value = state[name];
  if (type === "checkbox") control.checked = value;
  else if (stops?.[control.value] !== value) control.value = stops ? stops.indexOf(value) : value;
}
for (const control of CONTROLS) control.oninput = () => {
  const { name, type, checked, value } = control, before = state[name];
  page = 0;
  state[name] = type === "checkbox" ? checked : STOPS[name]?.[value] ?? value;
  if (state.x === state.y) state[name === "x" ? "y" : "x"] = before;
  render();
};
// An address says what the controls could, or nearly (maps of a sweep under way differ); the rest is as it opened.
function fromAddress() {
  Object.assign(state, OPENED);
  for (const [name, word] of new URLSearchParams(location.hash.slice(1))) {
    const possible = { ...DATA.choices, run: IDS, filter: [word] }[name] ?? [], stops = STOPS[name] ?? [];
    const within = word && word >= stops[0] && word <= stops.at(-1), away = stop => Math.abs(stop - word);
    if (within) state[name] = stops.reduce((a, b) => (away(b) < away(a) ? b : a));
    state[name] = possible.find(value => String(value) === word) ?? state[name];
  }
  if (state.x === state.y) Object.assign(state, { x: OPENED.x, y: OPENED.y });
}
function choose(i) {
  Object.assign(state, { run: IDS[i], level: DATA.levels[numbers(RUNS.level)[i]].name });
  render();
}
$("reset").onclick = () => { for (const name of RULE) state[name] = OPENED[name]; render(); };
$("runs").onclick = $("runs").onkeydown = ({ type, key, target }) => {
  const { sort } = target.dataset, row = target.closest("[data-run]");
  if (sort && type === "click") { state.sort = state.sort === sort ? `-${sort}` : sort; render(); }
  if (row && (type === "click" || key === "Enter")) choose(+row.dataset.run);
};
for (const [id, by] of [["previous", -1], ["next", 1]]) $(id).onclick = () => { page += by; fillTable(); };

// The words around the map: an element is filled with what its data-say names, and shown while its data-if holds.
function describe() {
  const { layer, layers, x, y, own } = scene, level = levelNumber(), told = DATA.levels[level];
  // Each regime's share of the slice: the mean of its probability over the grid's points, a category zero left out.
  const inside = [...layers.time.keys()].filter(i => !(x.zero && i % x.size === 0) && !(y.zero && i < x.size));
  const share = name => inside.reduce((sum, i) => sum + Math.exp(layers[name][i]), 0) / inside.length * 100;
  const here = [...labels.keys()].filter(i => numbers(RUNS.level)[i] === level), kinds = here.map(markKind);
  const count = (...some) => kinds.filter(kind => some.includes(kind)).length, unsure = count("uncertain");
  const said = { ...state, runs: here.length, censored: count("censored", "confused"), unsure, most: most(),
    source: own ? told.fitted : told.relabelled, sides: told.sides.map(side => ` --at ${side}`).join("") };
  NAMES.forEach((name, k) => {
    said[name] = here.filter(i => labels[i].regime === k).length;
    said[`share of ${name}`] = `${share(name).toFixed(0)} %`;
    $(`share-${k}`).style.width = `${share(name)}%`;
  });
  const asWords = element => element.closest("pre") ? value => value : fmt;
  for (const one of all("[data-say]")) one.textContent = asWords(one)(said[one.dataset.say]);
  const aside = AXES.filter(axis => axis !== x && axis !== y).map(axis => `at.${axis.name}`), i = chosen();
  const holds = [state.form, layer, i < 0 ? "none" : "chosen", hasCurves(i) ? "curves" : "no curves", ...aside,
    ...(unsure ? ["unsure"] : []), ...(!state.runs ? [] : cells.length ? ["cells"] : kinds)];
  for (const one of all("[data-if]")) one.hidden = !holds.includes(one.dataset.if);
  for (const option of $("layer").options) option.disabled = !own && DATA.layers[option.value]?.own;
}

// Pointer and keys on the map: a run is pointed at, chosen, or gone to by arrows; a box is dragged.
let from = null;
const least = cost => placed.map(d => [cost(d), d]).reduce((a, b) => (b[0] < a[0] ? b : a), [Infinity])[1];
// Where a pointer is, the run that is there, and whether a box has been dragged to there.
function pointed({ clientX, clientY }) {
  const { left, top } = map.getBoundingClientRect(), [x, y] = [clientX - left, clientY - top];
  const away = d => Math.hypot(d.x - x, d.y - y);
  const hit = state.runs && least(d => (away(d) < 11 ? away(d) : Infinity));
  return { x, y, hit, isBox: DATA.finer && from && away(from) > 8 };
}
function hover({ x, y, hit }) {
  const at = placeOnMap().units(x, y), axes = drawnAxes(), { n, p } = scene;
  tip.hidden = !hit && !at.every(u => u >= 0 && u <= 1);
  if (tip.hidden) return;
  const [c, r] = axes.map(({ fine }, d) => clamp(Math.round((at[d] - fine.low) / fine.step), 0, fine.count - 1));
  const chances = NAMES.map((name, k) => `${(100 * p[4 * (r * n + c) + k]).toFixed(0).padStart(3)} %  ${name}`);
  const where = axes.filter(axis => axis.name).map((axis, d) => `${axis.label}: ${fmt(valueAt(axis, at[d]))}`);
  const about = COLUMNS.filter(one => one.brief).map(one => `${one.label}: ${hit && inWords(one, hit.i)}`);
  tip.textContent = (hit ? about : [...where, ...chances]).join("\n");
  tip.style.left = `clamp(0px, ${x + 14}px, 100% - ${tip.offsetWidth + 4}px)`;
  tip.style.top = `min(${y + 14}px, 100% - ${tip.offsetHeight}px)`;
}
// A box between two places, in units of the axes, as the command that fills it with runs.
function tellBox(one, other) {
  const sides = drawnAxes().filter(axis => axis.name).map((axis, d) => {
    const ends = [one[d], other[d]].sort((a, b) => a - b).map(u => valueAt(axis, clamp(u, 0, 1)));
    return `${axis.name}=${ends.map(v => +v.toPrecision(3)).join(":")}`;
  });
  const within = [...sides, ...DATA.levels[levelNumber()].sides].map(side => ` --within ${side}`);
  $("box-command").textContent = DATA.finer + within.join("");
}
map.onpointerdown = event => {
  from = event.button === 0 ? pointed(event) : null;
  map.setPointerCapture(event.pointerId);
};
map.onpointermove = event => {
  const at = pointed(event);
  hover(at);
  drag.hidden = !at.isBox;
  if (at.isBox) for (const [side, size, d] of [["left", "width", "x"], ["top", "height", "y"]])
    Object.assign(drag.style, { [side]: `${Math.min(at[d], from[d])}px`, [size]: `${Math.abs(at[d] - from[d])}px` });
};
map.onpointerup = event => {
  const { x, y, hit, isBox } = pointed(event), { units } = placeOnMap();
  if (from && isBox) tellBox(units(from.x, from.y), units(x, y));
  else if (from && hit) choose(hit.i);
};
map.onlostpointercapture = () => { from = null; drag.hidden = true; };
map.onkeydown = event => {
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const here = placedRun(), { units } = placeOnMap(), [dx, dy] = way ?? [0, 0];
  if (event.key === "Enter" && here && DATA.finer)
    tellBox(units(here.x - 50, here.y - 50), units(here.x + 50, here.y + 50));
  if (!way || !placed.length) return;
  event.preventDefault();
  // The nearest beyond the chosen run in that direction; the first of all if none is chosen.
  const next = here && least(d => {
    const [x, y] = [d.x - here.x, d.y - here.y], along = x * dx + y * dy;
    return along > 0.5 ? along + 2 * Math.abs(x * dy - y * dx) : Infinity;
  });
  choose((next ?? here ?? placed[0]).i);
};

// The drawing as one SVG that stands alone (of the page's style it needs nothing), and as a picture.
function drawing() {
  const copy = map.cloneNode(true);
  copy.setAttribute("width", map.clientWidth);
  copy.setAttribute("height", map.clientHeight);
  return new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
}
const save = (name, blob) =>
  Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(blob) }).click();
$("save-svg").onclick = () => save("map.svg", drawing());
$("save-png").onclick = async () => {
  const image = new Image(), [width, height] = [2 * map.clientWidth, 2 * map.clientHeight];
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  image.src = URL.createObjectURL(drawing());
  await image.decode();
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
  canvas.toBlob(blob => save("map.png", blob));
};
fromAddress(); render();
window.onresize = render;
window.onhashchange = () => { fromAddress(); render(); };
