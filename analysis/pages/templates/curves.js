// A run's curves.
"use strict";

const TRAIN = "#d0603a", VAL = "#3d8fc6";

// A panel of curves over log steps. lines: {x, y, colour, dash}, marks: {x, colour, dash}, shade: {from, to, colour}.
function curves(svg, { title, x, y, lines, marks = [], shade }) {
  const w = svg.clientWidth, h = svg.clientHeight, box = [52, 20, w - 64, h - 44], parts = [];
  const px = v => box[0] + unitOf(x, v) * box[2];
  const py = v => box[1] + box[3] * (1 - Math.min(Math.max(unitOf(y, v), 0), 1));
  if (shade) {
    const size = `width="${Math.max(0, px(shade.to) - px(shade.from))}" height="${box[3]}"`;
    parts.push(`<rect x="${px(shade.from)}" y="${box[1]}" ${size} fill="${shade.colour}" opacity=".25"/>`);
  }
  for (const m of marks)
    parts.push(`<path d="M${px(m.x)},${box[1]}v${box[3]}" stroke="${m.colour}" stroke-dasharray="${m.dash}"/>`);
  for (const line of lines) {
    const shown = (v, i) => line.x[i] > 0 && Number.isFinite(v) && (y.scale !== "log" || v > 0);
    const points = Array.from(line.y, (v, i) => shown(v, i) ? `${px(line.x[i]).toFixed(1)},${py(v).toFixed(1)}` : "");
    const look = `fill="none" stroke="${line.colour}" stroke-width="1.8" stroke-dasharray="${line.dash}"`;
    parts.push(`<polyline points="${points.filter(Boolean).join(" ")}" ${look}/>`);
  }
  const text = `<text x="54" y="13" font-size="11" fill="currentColor">${escapeHtml(title)}</text>`;
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  svg.innerHTML = parts.join("") + frame(box, x, y, false) + text;
}

// The range of some values as an axis.
function spanOf(values, scale) {
  const known = values.filter(v => Number.isFinite(v) && (scale !== "log" || v > 0));
  let low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!(low <= high)) [low, high] = scale === "log" ? [0.1, 1] : [0, 1];
  const pad = 0.03 * (high - low) || 0.5;
  return scale === "log" ? { scale, low: low === high ? low / 2 : low, high: low === high ? high * 2 : high }
    : { scale, low: low - pad, high: high + pad };
}
