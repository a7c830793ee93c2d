"use strict";
const token = new URLSearchParams(location.search).get("token"), asked = `token=${encodeURIComponent(token)}`;
const part = id => document.getElementById(id), SVG = "http://www.w3.org/2000/svg";
let shown = 0, frame = null, coming = false;

function element(name, attributes, text) {
  const made = name === "polyline" || name === "circle" ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The new map takes the place of the old one once it is drawn, and stands where the old one stood: its page keeps its
// whole state in its address.
function bring(version) {
  coming = true;
  const next = element("iframe", { title: "regime map so far", class: "coming" });
  const state = () => { try { return frame ? frame.contentWindow.location.hash : ""; } catch { return ""; } };
  next.addEventListener("load", () => {
    next.contentWindow.location.hash = state();
    next.classList.remove("coming");
    if (frame) frame.remove();
    frame = next; shown = version; coming = false;
    part("waiting").hidden = true;
    document.body.dataset.map = version;
  });
  next.src = `/map?${asked}&version=${version}${state()}`;
  part("map").append(next);
}

function drawCurves(curves, colours) {
  const end = Math.log(Math.max(10, ...curves.map(one => one.step.at(-1) || 1)));
  part("curves").replaceChildren(...curves.filter(one => one.step.length).map(one => {
    const points = one.step.map((step, index) => `${300 * Math.log(step) / end},${117 - 114 * one.accuracy[index]}`);
    const line = element("polyline", { points: points.join(" ") });
    line.style.stroke = `color-mix(in srgb, ${colours[one.regime] || "var(--muted)"} 80%, var(--muted))`;
    // A run without a regime is still being trained.
    if (!one.regime) line.setAttribute("stroke-dasharray", "2 2");
    return line;
  }));
}

function drawBands(widths) {
  const known = widths.filter(one => Object.keys(one.bands).length);
  const widest = one => Math.max(...Object.values(one.bands)), top = Math.max(...known.map(widest), 1e-9);
  const place = one => [300 * one.runs / known.at(-1).runs - 3, 77 - 70 * widest(one) / top];
  part("bands").replaceChildren(
    element("polyline", { points: known.map(one => place(one).join(",")).join(" ") }),
    ...known.map(one => { const [cx, cy] = place(one); return element("circle", { cx, cy, r: 2.5 }); }));
  part("widths").replaceChildren(...(known.length ? Object.entries(known.at(-1).bands) : []).map(([name, width]) => {
    const row = element("tr", {}), before = known.slice(-4).map(one => (one.bands[name] ?? NaN)).filter(Number.isFinite);
    row.append(element("td", {}, name), element("td", {}, before.map(value => value < 1 ? value.toFixed(3) : "> 1").join(" → ")));
    return row;
  }));
}

function show(state) {
  part("name").textContent = `Sweep ${state.name}`;
  part("line").textContent = state.line;
  part("note").textContent = state.fitting ? "drawing the map of the runs so far …" : state.note ||
    (state.map ? `the map is of ${state.map_runs} runs` : "");
  if (!state.there) return;
  document.title = `${state.line} – ${state.name}`;
  part("steps").textContent = state.steps;
  part("next").textContent = state.next;
  part("regimes").replaceChildren(...state.regimes.map(one => {
    const item = element("li", {}, `${one.name} ${one.runs}`);
    item.style.setProperty("--colour", one.colour);
    return item;
  }));
  drawCurves(state.curves, Object.fromEntries(state.regimes.map(one => [one.name, one.colour])));
  drawBands(state.widths);
  if (state.map > shown && !coming) bring(state.map);
}

async function look() {
  try {
    const answer = await fetch(`/state?${asked}`);
    if (answer.ok) show(await answer.json());
  } catch {
    part("line").textContent = "grokmap watch has ended; what is shown is the last that it said";
  }
  setTimeout(look, 2000);
}
look();
