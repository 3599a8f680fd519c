// What surface.js draws: the map of a loss with its contours and a trajectory on it, two slices of
// it, and the loss curve.

const CELLS = 97;         // points of the map's grid along each weight
const MARGIN = { left: 60, right: 8, top: 8, bottom: 36 };

// Values on a grid of n by n points, the lines of equal loss, and where they are
function survey(surface, s, n) {
  const loss = lossOf(surface, s), { xlim, ylim } = surface;
  const at = ([low, high], i) => low + (high - low) * i / (n - 1);
  const values = new Float64Array(n * n);
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++)
    values[j * n + i] = loss(at(xlim, i), at(ylim, j))[0];
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const levels = [...Array(13).keys()].map(k => low + (high - low) * 10 ** (-4 + k / 3));
  return { values, n, low, high, levels };
}

// Losses at n points along weight number i, the other one staying as at `point`
function slice(surface, s, point, i, n) {
  const loss = lossOf(surface, s), [low, high] = [surface.xlim, surface.ylim][i];
  return [...Array(n).keys()].map(k => {
    const v = low + (high - low) * k / (n - 1);
    return loss(...point.map((w, j) => i === j ? v : w))[0];
  });
}

// Line segments [x0, y0, x1, y1], in cells of the grid, along which the loss is `level`
function contour({ values, n }, level) {
  const lines = [];
  for (let j = 0; j < n - 1; j++) for (let i = 0; i < n - 1; i++) {
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

// The map without a trajectory, as large as `map`: what does not change with each movement
function drawPaper(map, surface, scan, ink) {
  const canvas = make("canvas"), pen = penOf(canvas, map.clientWidth, map.clientHeight);
  const b = boxOf(map), last = scan.n - 1;
  for (const level of scan.levels) {
    pen.beginPath();
    for (const [x0, y0, x1, y1] of contour(scan, level)) {
      pen.moveTo(b.x + x0 / last * b.width, b.y + (1 - y0 / last) * b.height);
      pen.lineTo(b.x + x1 / last * b.width, b.y + (1 - y1 / last) * b.height);
    }
    Object.assign(pen, { strokeStyle: ink, globalAlpha: 0.3 });
    pen.stroke();
  }
  pen.globalAlpha = 1;
  axes(pen, b, surface.labels, [...surface.xlim, ...surface.ylim].map(short), ink);
  return canvas;
}

function paintMap(map, paper, surface, run, { ink, path, spot }) {
  const b = boxOf(map), pen = penOf(map, map.clientWidth, map.clientHeight);
  const { xlim, ylim } = surface;
  const place = ([x, y]) => [b.x + (x - xlim[0]) / (xlim[1] - xlim[0]) * b.width,
                             b.y + (ylim[1] - y) / (ylim[1] - ylim[0]) * b.height];
  pen.drawImage(paper, 0, 0, map.clientWidth, map.clientHeight);
  pen.beginPath();
  pen.rect(b.x, b.y, b.width, b.height);
  pen.clip();
  const dots = run.path.map(place);
  const dot = ([x, y], r) => { pen.beginPath(); pen.arc(x, y, r, 0, 7); };
  Object.assign(pen, { strokeStyle: path, fillStyle: path, lineWidth: 1.5 });
  pen.beginPath();
  for (const [x, y] of dots) pen.lineTo(x, y);
  pen.stroke();
  pen.beginPath();
  for (const [x, y] of dots) { pen.moveTo(x, y); pen.arc(x, y, 2, 0, 7); }
  pen.fill();
  Object.assign(pen, { fillStyle: ink, textAlign: "center", textBaseline: "middle",
                       font: "bold 18px system-ui, sans-serif" });
  for (const [mark, points] of [["+", surface.minima], ["\u00d7", surface.saddles]])
    for (const p of points) pen.fillText(mark, ...place(p));
  Object.assign(pen, { strokeStyle: spot, fillStyle: spot, lineWidth: 3 });
  dot(dots[0], 7);
  pen.stroke();
  dot(dots.at(-1), 5);
  pen.fill();
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

// A slice of the loss through `point`
function paintSlice(canvas, surface, s, point, i, { ink, path, spot }) {
  const b = boxOf(canvas), pen = penOf(canvas, canvas.clientWidth, canvas.clientHeight);
  const losses = slice(surface, s, point, i, CELLS), [from, to] = [surface.xlim, surface.ylim][i];
  const low = Math.min(...losses), high = Math.max(...losses);
  const place = (u, v) => [b.x + u * b.width, b.y + b.height * (1 - (v - low) / (high - low || 1))];
  const ends = [from, to, ...[low, high].map(v => +v.toPrecision(3))].map(short);
  axes(pen, b, [surface.labels[i], "loss"], ends, ink);
  Object.assign(pen, { strokeStyle: path, fillStyle: spot, lineWidth: 2 });
  pen.beginPath();
  losses.forEach((v, k) => pen.lineTo(...place(k / (CELLS - 1), v)));
  pen.stroke();
  pen.beginPath();
  pen.arc(...place((point[i] - from) / (to - from), lossOf(surface, s)(...point)[0]), 5, 0, 7);
  pen.fill();
}
