// What the scripts that draw charts on a canvas share: numbers in words, colours, axes, contours,
// and the curve of a loss.

const MARGIN = { left: 60, right: 8, top: 8, bottom: 36 };

const short = v => !Number.isFinite(v) ? "beyond all numbers"
  : v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3
  ? v.toExponential(2).replace(/\.?0*e\+?/, "e") : String(+v.toPrecision(4));

// Colours that can be told from the paper, whichever it is
const tonesOf = el => {
  const [r, g, b] = getComputedStyle(el).color.match(/[\d.]+/g).map(Number);
  return r + g + b > 380 ? { ink: "#fff", path: "#56b4e9", spot: "#f0e442" }
    : { ink: "#000", path: "#0072b2", spot: "#d55e00" };
};

// A pen on an empty canvas, whose size is set only if it has changed: the page lies it out anew
const penOf = (canvas, width, height) => {
  const k = Math.max(1, devicePixelRatio), pen = canvas.getContext("2d");
  const size = { width: Math.round(width * k), height: Math.round(height * k) };
  if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
  pen.reset();
  pen.scale(k, k);
  return Object.assign(pen, { font: "12px system-ui, sans-serif", lineJoin: "round" });
};

const boxOf = canvas => ({
  x: MARGIN.left, y: MARGIN.top, width: canvas.clientWidth - MARGIN.left - MARGIN.right,
  height: canvas.clientHeight - MARGIN.top - MARGIN.bottom });

// A frame with a label and the two ends of each axis
function axes(pen, { x, y, width, height }, labels, ends, ink) {
  Object.assign(pen, { strokeStyle: ink, fillStyle: ink, lineWidth: 1, globalAlpha: 0.6 });
  pen.strokeRect(x, y, width, height);
  pen.globalAlpha = 1;
  const text = (words, px, py, align, base) => {
    Object.assign(pen, { textAlign: align, textBaseline: base });
    pen.fillText(words, px, py);
  };
  text(ends[0], x, y + height + 4, "left", "top");
  text(ends[1], x + width, y + height + 4, "right", "top");
  text(labels[0], x + width / 2, y + height + 19, "center", "top");
  text(ends[2], x - 5, y + height, "right", "bottom");
  text(ends[3], x - 5, y, "right", "top");
  pen.save();
  pen.translate(12, y + height / 2);
  pen.rotate(-Math.PI / 2);
  text(labels[1], 0, 0, "center", "middle");
  pen.restore();
}

// Line segments [x0, y0, x1, y1], in cells of the grid, along which the loss is `level`
function contour({ values, n }, level) {
  const lines = [];
  for (let j = 0; j < n - 1; j++) for (let i = 0; i < n - 1; i++) {
    const at = j * n + i, high = values[at] > level;   // nearly always, all four corners are
    if (high === values[at + 1] > level && high === values[at + n] > level
        && high === values[at + n + 1] > level) continue;
    const corner = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
    const above = corner.map(([x, y]) => values[y * n + x] - level);
    const cut = [];
    for (let a = 0, b = 1; a < 4; a++, b = (b + 1) % 4) if (above[a] > 0 !== above[b] > 0) {
      const t = above[a] / (above[a] - above[b]);
      cut.push(...corner[a].map((v, k) => v + t * (corner[b][k] - v)));
    }
    for (let k = 0; k < cut.length; k += 4) lines.push(cut.slice(k, k + 4));
  }
  return lines;
}

function paintCurve(curve, { losses }, { ink, path }) {
  const b = boxOf(curve), pen = penOf(curve, curve.clientWidth, curve.clientHeight);
  const fine = losses.filter(Number.isFinite), top = Math.max(...fine), low = Math.min(...fine);
  const log = low > 0 && top > 30 * low, floor = log ? Math.max(low, top * 1e-8) : low;
  const height = v => log ? Math.log(Math.max(v, floor)) : v;
  const [from, to] = [height(floor), height(top)], last = Math.max(1, losses.length - 1);
  axes(pen, b, ["step", log ? "loss (log)" : "loss"],
       ["0", String(losses.length - 1), ...[floor, top].map(v => short(+v.toPrecision(3)))], ink);
  Object.assign(pen, { strokeStyle: path, lineWidth: 2 });
  pen.beginPath();
  fine.forEach((v, k) => pen.lineTo(
    b.x + k / last * b.width, b.y + b.height * (1 - (height(v) - from) / (to - from || 1))));
  pen.stroke();
}
