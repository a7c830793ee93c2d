// The state in the address, the drawing as a file, and a box dragged on the map as the command that runs it finer.
"use strict";

// What an address may say after its #, one short word each; what it leaves out is as the page opened.
const KEYS = ["threshold", "budget", "gap", "ratio"];
function changed() {
  const words = new URLSearchParams(), opened = DATA, { rule } = state;
  const say = (name, value, usual) => { if (value !== usual && value !== null) words.set(name, value); };
  say("level", part().name, DATA.levels[0].name);
  say("x", AXES[state.ix].short, AXES[opened.x].short);
  if (state.iy >= 0) say("y", AXES[state.iy].short, AXES[opened.y].short);
  AXES.forEach((axis, k) => {
    const aside = k !== state.ix && k !== state.iy && state.held[k] !== opened.held[k];
    if (aside) words.set(`at.${axis.short}`, +heldValue(k).toPrecision(6));
  });
  for (const key of KEYS) say(key, rule[key], opened.rule[key]);
  say("layer", state.layer, "regimes");
  for (const [key, usual] of [["bands", true], ["runs", true], ["all", false]]) say(key, state[key], usual);
  say("filter", state.filter, "");
  if (state.chosen >= 0) say("run", RUNS.id[state.chosen]);
  const text = words.toString();
  if (text !== location.hash.slice(1)) history.replaceState(null, "", `#${text}`);
}
function fromAddress() {
  const words = new URLSearchParams(location.hash.slice(1)), number = name => Number(words.get(name));
  const axis = (name, usual) => words.has(name) ? Math.max(0, AXES.findIndex(a => a.short === words.get(name))) : usual;
  state.level = Math.max(0, DATA.levels.findIndex(level => level.name === words.get("level")));
  if (state.iy >= 0) {
    const [x, y] = [axis("x", state.ix), axis("y", state.iy)];
    if (x !== y) Object.assign(state, { ix: x, iy: y });
  }
  AXES.forEach((a, k) => {
    if (!words.has(`at.${a.short}`)) return;
    const value = number(`at.${a.short}`), skip = zeroOffset(k), last = a.values.length - 1 - skip;
    const index = skip && value === 0 ? 0 : skip + unitOf(a, value) * last;
    if (index >= -1e-3 && index <= skip + last + 1e-3) state.held[k] = Math.max(0, +index.toFixed(3));
  });
  const rule = { ...state.rule };
  if (DATA.thresholds.includes(number("threshold"))) rule.threshold = number("threshold");
  if (number("budget") >= 1 && number("budget") <= LIMIT) rule.budget = number("budget");
  if (number("gap") >= 1) Object.assign(rule, { gap: number("gap"), ratio: null });
  else if (number("ratio") >= 1) Object.assign(rule, { ratio: number("ratio"), gap: null });
  state.rule = rule;
  if ([...$("layer").options].some(o => o.value === words.get("layer"))) state.layer = words.get("layer");
  for (const key of ["bands", "runs", "all"]) if (words.has(key)) state[key] = words.get(key) === "true";
  state.filter = words.get("filter") || "";
  state.chosen = RUNS.id.indexOf(words.get("run"));
  $("layer").value = state.layer; $("filter").value = state.filter;
  for (const [id, key] of CHECKS) $(id).checked = state[key];
}

// The drawing as one SVG that stands alone: dark on white, whatever the page is.
function drawing() {
  const copy = $("map").cloneNode(true), { clientWidth: width, clientHeight: height } = $("map");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  for (const [name, value] of Object.entries({ width, height, color: DARK, "font-family": "sans-serif" }))
    copy.setAttribute(name, value);
  copy.insertAdjacentHTML("afterbegin", '<rect width="100%" height="100%" fill="white"/>');
  return { width, height, text: new XMLSerializer().serializeToString(copy) };
}
function save(name, blob) {
  const link = Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(blob) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function bindSave() {
  $("save-svg").onclick = () => save("map.svg", new Blob([drawing().text], { type: "image/svg+xml" }));
  $("save-png").onclick = async () => {
    const { width, height, text } = drawing(), canvas = document.createElement("canvas"), image = new Image();
    image.src = `data:image/svg+xml;base64,${btoa(unescape(encodeURIComponent(text)))}`;
    await image.decode();
    canvas.width = 2 * width; canvas.height = 2 * height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => save("map.png", blob));
  };
}

// A box from one corner to the other, in units of the axes, as the command that fills it with runs.
function boxCommand(from, to) {
  const within = drawnAxes().filter(axis => axis !== PROBABILITY).map((axis, d) => {
    const ends = [from[d], to[d]].sort((a, b) => a - b).map(u => valueAt(axis, Math.min(Math.max(u, 0), 1)));
    return ` --within ${axis.short}=${ends.map(v => +v.toPrecision(3)).join(":")}`;
  });
  const fixed = part().words.map(word => ` --within ${word}`);
  return `grokmap sweep ${DATA.spec} --name ${DATA.name}-finer${within.join("")}${fixed.join("")}`;
}
function bindBox() {
  if (!DATA.spec) return;
  const map = $("map"), box = $("drag"), tell = (from, to) => {
    $("box-command").textContent = boxCommand(from, to);
    $("box-words").hidden = false;
  };
  let start = null, dragged = false;
  const unit = ([x, y]) => {
    const { px, py } = placer(boxOf(map), ...drawnAxes());
    return [(x - px(0)) / (px(1) - px(0)), (y - py(0)) / (py(1) - py(0))];
  };
  map.addEventListener("pointerdown", event => { if (event.button === 0) start = placeOf(event); });
  window.addEventListener("pointermove", event => {
    if (!start) return;
    const [x, y] = placeOf(event), [left, top] = [Math.min(x, start[0]), Math.min(y, start[1])];
    box.hidden = Math.hypot(x - start[0], y - start[1]) < 8;
    const style = { left, top, width: Math.abs(x - start[0]), height: Math.abs(y - start[1]) };
    for (const [name, value] of Object.entries(style)) box.style[name] = `${value}px`;
  });
  window.addEventListener("pointerup", event => {
    dragged = start !== null && !box.hidden;
    if (dragged) tell(unit(start), unit(placeOf(event)));
    start = null; box.hidden = true;
  });
  window.addEventListener("pointercancel", () => { start = null; box.hidden = true; });
  // The click that ends a drag chooses no run.
  map.addEventListener("click", event => { if (dragged) event.stopImmediatePropagation(); }, true);
  map.addEventListener("keydown", event => {
    const chosen = placed.find(d => d.i === state.chosen);
    if (event.key !== "Enter" || !chosen) return;
    const [u, v] = unit([chosen.x, chosen.y]);
    tell([u - 0.1, v - 0.1], [u + 0.1, v + 0.1]);
  });
}
