// Drawing in SVG: numbers as a reader writes them, axes, ticks, marks, and a run's curves.
"use strict";

const $ = id => document.getElementById(id);
const DARK = "#1d222b", ZERO_STRIP = [-0.1, -0.035];
const whole = n => n.toLocaleString("en-US");
const escapeHtml = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);

function fmt(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (typeof v !== "number") return String(v);
  if (Math.abs(v) >= 1000) return whole(Math.round(v));
  if (v !== 0 && Math.abs(v) < 1e-4) return v.toExponential(1).replace(".0e", "e").replace("-", "−");
  return String(+v.toPrecision(3));
}

// Where a value of an axis stands, 0 at its low end and 1 at its high; zero on a logarithmic axis stands in its strip.
function unitOf(axis, v) {
  if (axis.scale !== "log") return (v - axis.low) / ((axis.high - axis.low) || 1);
  return v === 0 ? (ZERO_STRIP[0] + ZERO_STRIP[1]) / 2 : Math.log(v / axis.low) / (Math.log(axis.high / axis.low) || 1);
}
const valueAt = (axis, u) =>
  axis.scale === "log" ? axis.low * Math.pow(axis.high / axis.low, u) : axis.low + u * (axis.high - axis.low);

// Values to label: those an axis brings with it; else the powers of ten of a log axis, five values of a linear one.
function ticks(axis) {
  if (axis.ticks) return axis.ticks;
  if (axis.scale !== "log") return [0, 1, 2, 3, 4].map(k => axis.low + k * (axis.high - axis.low) / 4);
  const first = Math.ceil(Math.log10(axis.low) - 1e-9), count = Math.floor(Math.log10(axis.high) + 1e-9) - first + 1;
  const every = Math.ceil(count / 5) || 1;
  return Array.from({ length: Math.max(0, Math.ceil(count / every)) }, (_, k) => Math.pow(10, first + k * every));
}

// How unit coordinates of two axes become places in a box [left, top, width, height], strips for zero included.
function placer([left, top, width, height], x, y) {
  const [lowX, lowY] = [x, y].map(axis => (axis.zero ? ZERO_STRIP[0] : 0));
  return { px: u => left + (u - lowX) / (1 - lowX) * width, py: v => top + height * (1 - (v - lowY) / (1 - lowY)) };
}
// The frame of such a box: lines, ticks and their numbers, and names of the axes.
function frame(box, x, y, names = true) {
  const [left, top, width, height] = box, bottom = top + height, parts = [], { px, py } = placer(box, x, y);
  const text = (s, at, more) => parts.push(`<text ${at} ${more}>${escapeHtml(s)}</text>`);
  const zero = axis => (axis.zero ? [["0", (ZERO_STRIP[0] + ZERO_STRIP[1]) / 2]] : []);
  const marks = axis => [...ticks(axis).map(v => [fmt(v), unitOf(axis, v)]), ...zero(axis)];
  for (const [label, u] of marks(x)) {
    parts.push(`<path d="M${px(u)},${bottom}v4" />`);
    text(label, `x="${px(u)}" y="${bottom + 16}"`, 'text-anchor="middle"');
  }
  for (const [label, v] of marks(y)) {
    parts.push(`<path d="M${left},${py(v)}h-4" />`);
    text(label, `x="${left - 7}" y="${py(v) + 4}"`, 'text-anchor="end"');
  }
  if (names) {
    text(x.label, `x="${left + width / 2}" y="${bottom + 36}"`, 'text-anchor="middle" font-size="13"');
    text(y.label, `transform="translate(13,${top + height / 2}) rotate(-90)"`, 'text-anchor="middle" font-size="13"');
  }
  const lines = `<path d="M${left},${top}V${bottom}H${left + width}" />`;
  return `<g stroke="currentColor" fill="none">${lines}${parts.filter(p => p[1] === "p").join("")}</g>` +
    `<g fill="currentColor" font-size="11">${parts.filter(p => p[1] === "t").join("")}</g>`;
}

// A run's mark: filled when it generalised, open when censored (a square if it had not even memorised), a triangle when
// its regime is not certain, a diamond when unstable, a cross when diverged or failed.
const SHAPES = {
  generalised: s => `M${-s},0a${s},${s} 0 1 0 ${2 * s},0a${s},${s} 0 1 0 ${-2 * s},0z`,
  unstable: s => `M0,${-1.25 * s}L${1.25 * s},0L0,${1.25 * s}L${-1.25 * s},0z`,
  confused: s => `M${-0.85 * s},${-0.85 * s}h${1.7 * s}v${1.7 * s}h${-1.7 * s}z`,
  uncertain: s => `M0,${s}L${-s},${-0.8 * s}L${s},${-0.8 * s}z`,
  failed: s => `M${-s},${-s}L${s},${s}M${-s},${s}L${s},${-s}`,
};
SHAPES.censored = SHAPES.generalised;
function mark(kind, x, y, size, colour, more = "") {
  const d = SHAPES[kind](size), at = `transform="translate(${x.toFixed(1)},${y.toFixed(1)})" d="${d}" ${more}`;
  const stroke = (ink, width) => `<path ${at} fill="none" stroke="${ink}" stroke-width="${width}"/>`;
  if (kind === "failed") return stroke("white", 4.5) + stroke(DARK, 2.4);
  const filled = kind === "generalised" || kind === "unstable";
  return `<path stroke="${DARK}" ${at} fill="${filled ? colour : "white"}"/>`;
}
