// Drawing on canvases: axes, ticks, numbers as a reader writes them, and a run's curves.
"use strict";

const INK = "#1d222b", MUTED = "#667080", TRAIN = "#d0603a", VAL = "#1f6fa8";
const ZERO_STRIP = [-0.1, -0.035];

function fmt(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (v === 0) return "0";
  const a = Math.abs(v);
  if (a >= 1000) return Math.round(v).toLocaleString("en-US");
  if (a < 1e-4) return v.toExponential(1).replace(".0e", "e").replace("-", "−");
  return String(+v.toPrecision(3));
}

function unitOf(axis, v) {
  if (axis.scale !== "log") return (v - axis.low) / ((axis.high - axis.low) || 1);
  return v === 0 ? (ZERO_STRIP[0] + ZERO_STRIP[1]) / 2 : Math.log(v / axis.low) / (Math.log(axis.high / axis.low) || 1);
}
function valueAt(axis, u) {
  return axis.scale === "log" ? axis.low * Math.pow(axis.high / axis.low, u) : axis.low + u * (axis.high - axis.low);
}

function linearTicks(low, high, count) {
  const raw = (high - low) / count || 1, power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = [1, 2, 2.5, 5, 10].map(m => m * power).find(s => s >= raw), out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(+(k * step).toPrecision(12));
  return out;
}
function logTicks(low, high, count) {
  const first = Math.floor(Math.log10(low)) - 1, last = Math.ceil(Math.log10(high));
  const among = (mantissas, step) => {
    const out = [];
    for (let d = first; d <= last; d++) if (d % step === 0) for (const m of mantissas) { const v = m * Math.pow(10, d); if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)) out.push(v); }
    return out;
  };
  const choices = [among([1, 2, 5], 1), among([1, 3], 1), among([1], 1), among([1], 2), among([1], 3)];
  return { major: choices.find(c => c.length <= count) || choices[4], minor: among([1, 2, 3, 4, 5, 6, 7, 8, 9], 1) };
}

// Size a canvas for the screen's pixels and return its context with CSS-pixel coordinates.
function fitCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio); }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return { g, w, h, ratio };
}

// One panel of lines. spec: {box, x: {low, high}, y: {low, high, log}, title, lines: [{x, y, colour, dash}], marks: [{x, colour, dash}], shade, xLabels}
function linePanel(g, spec) {
  const [left, top, width, height] = spec.box, lx = Math.log10(spec.x.low), wx = Math.log10(spec.x.high) - lx || 1;
  const ty = v => spec.y.log ? Math.log10(v) : v, ly = ty(spec.y.low), wy = ty(spec.y.high) - ly || 1;
  const px = v => left + (Math.log10(v) - lx) / wx * width, py = v => top + height - (ty(v) - ly) / wy * height;
  g.save(); g.beginPath(); g.rect(left, top - 2, width, height + 4); g.clip();
  if (spec.shade) { g.fillStyle = spec.shade.colour; g.globalAlpha = 0.2; g.fillRect(px(spec.shade.from), top, px(spec.shade.to) - px(spec.shade.from), height); g.globalAlpha = 1; }
  for (const m of spec.marks) { g.strokeStyle = m.colour; g.lineWidth = 1; g.setLineDash(m.dash || []); g.beginPath(); g.moveTo(px(m.x), top); g.lineTo(px(m.x), top + height); g.stroke(); }
  for (const line of spec.lines) {
    g.strokeStyle = line.colour; g.lineWidth = 1.8; g.setLineDash(line.dash || []); g.beginPath();
    let down = false;
    for (let i = 0; i < line.x.length; i++) {
      if (!(line.x[i] > 0) || Number.isNaN(line.y[i]) || (spec.y.log && !(line.y[i] > 0))) continue;
      down ? g.lineTo(px(line.x[i]), py(line.y[i])) : g.moveTo(px(line.x[i]), py(line.y[i]));
      down = true;
    }
    g.stroke();
  }
  g.restore(); g.setLineDash([]);
  g.strokeStyle = INK; g.lineWidth = 1; g.beginPath(); g.moveTo(left, top); g.lineTo(left, top + height); g.lineTo(left + width, top + height); g.stroke();
  g.fillStyle = INK; g.font = "11px system-ui, sans-serif"; g.textAlign = "right"; g.textBaseline = "middle";
  const ys = spec.y.log ? logTicks(spec.y.low, spec.y.high, 4).major : linearTicks(spec.y.low, spec.y.high, 4);
  for (const v of ys) { g.fillText(fmt(v), left - 5, py(v)); g.fillRect(left - 3, py(v) - 0.5, 3, 1); }
  g.textAlign = "center"; g.textBaseline = "top";
  for (const v of logTicks(spec.x.low, spec.x.high, 6).major) { g.fillRect(px(v) - 0.5, top + height, 1, 3); if (spec.xLabels) g.fillText(fmt(v), px(v), top + height + 5); }
  g.textAlign = "left"; g.textBaseline = "alphabetic"; g.fillStyle = MUTED; g.fillText(spec.title, left + 2, top - 5);
}

function range(values, log) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (Number.isFinite(v) && (!log || v > 0)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (!(low <= high)) return [log ? 0.1 : 0, 1];
  if (low === high) return log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  return log ? [low, high] : [low - 0.03 * (high - low), high + 0.03 * (high - low)];
}

// A run's mark on the map: filled when it generalised, open when censored (a square if it had not even memorised), a
// triangle when its regime is not certain, a diamond when unstable, a cross when diverged or failed.
function drawMark(g, x, y, size, colour, kind) {
  g.beginPath();
  if (kind === "failed") { for (const s of [1, -1]) { g.moveTo(x - size, y - s * size); g.lineTo(x + size, y + s * size); } g.strokeStyle = "white"; g.lineWidth = 4.5; g.stroke(); g.strokeStyle = INK; g.lineWidth = 2.4; g.stroke(); return; }
  if (kind === "uncertain") { g.moveTo(x, y + size); g.lineTo(x - size, y - size * 0.8); g.lineTo(x + size, y - size * 0.8); g.closePath(); }
  else if (kind === "unstable") { g.moveTo(x, y - size * 1.25); g.lineTo(x + size * 1.25, y); g.lineTo(x, y + size * 1.25); g.lineTo(x - size * 1.25, y); g.closePath(); }
  else if (kind === "confused") g.rect(x - size * 0.85, y - size * 0.85, size * 1.7, size * 1.7);
  else g.arc(x, y, size, 0, 2 * Math.PI);
  g.fillStyle = kind === "generalised" || kind === "unstable" ? colour : "white"; g.fill();
  // The thin white rim shows on dark ground only.
  g.lineWidth = 2.2; g.strokeStyle = "rgba(255,255,255,.55)"; g.stroke();
  g.fill();
  g.lineWidth = 1.1; g.strokeStyle = INK; g.stroke();
}
