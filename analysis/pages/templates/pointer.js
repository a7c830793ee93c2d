// What the pointer and the keys do on the map.
"use strict";

function placeOf(event) {
  const box = $("map").getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
function hover(x, y) {
  const tip = $("tip"), box = boxOf($("map")), axes = drawnAxes(), { px, py } = placer(box, ...axes);
  const hit = state.runs ? nearest(x, y) : null, t = stepsAt(state.rule.threshold);
  const u = (x - px(0)) / (px(1) - px(0)), v = (y - py(0)) / (py(1) - py(0));
  tip.hidden = !hit && !(u >= 0 && u <= 1 && v >= 0 && v <= 1);
  if (tip.hidden) return;
  const o = 4 * (Math.round((state.iy < 0 ? 0 : v) * (scene.m - 1)) * scene.n + Math.round(u * (scene.n - 1)));
  const told = hit ? AXES.map((axis, k) => `${axis.short} ${fmt(PLACES[k][hit.i])}`) :
    axes.filter(a => a.short).map((axis, k) => `${axis.short} ${fmt(valueAt(axis, k ? v : u))}`);
  const run = hit && `${NAMES[labels.regime[hit.i]]}${labels.known[hit.i] ? "" : " so far"}\nmemorised: ` +
    `${stepText(t.mem[hit.i], t.mem_event[hit.i])}\ngeneralised: ${stepText(t.gen[hit.i], t.gen_event[hit.i])}`;
  tip.textContent = `${told.join("  ")}\n` +
    (run || NAMES.map((n, k) => `${(100 * scene.p[o + k]).toFixed(0).padStart(3)} %  ${n}`).join("\n"));
  tip.style.left = `${Math.max(0, Math.min(x + 14, $("map").clientWidth - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.min(y + 14, $("map").clientHeight - tip.offsetHeight - 4)}px`;
}
function nearest(x, y, reach = 11) {
  let best = null;
  for (const d of placed) {
    const r = Math.hypot(d.x - x, d.y - y) + (d.far ? 3 : 0);
    if (r < reach) { reach = r; best = d; }
  }
  return best;
}
// The nearest run beyond the chosen one in the direction of an arrow key; the first of all if none is chosen.
function neighbour(dx, dy) {
  const from = placed.find(d => d.i === state.chosen);
  if (!from) return placed[0];
  const far = d => {
    const [x, y] = [d.x - from.x, d.y - from.y], along = x * dx + y * dy;
    return along > 0.5 ? along + 2 * Math.abs(x * dy - y * dx) : Infinity;
  };
  return placed.reduce((best, d) => (far(d) < far(best) ? d : best), from);
}
function bindMap() {
  const map = $("map");
  map.addEventListener("pointermove", event => hover(...placeOf(event)));
  map.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  map.addEventListener("click", event => {
    const hit = state.runs && nearest(...placeOf(event));
    if (hit) choose(hit.i);
  });
  map.addEventListener("keydown", event => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || !placed.length) return;
    event.preventDefault();
    choose(neighbour(...way).i);
  });
}
