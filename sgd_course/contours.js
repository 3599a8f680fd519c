// What surface.js draws, with chart.js: the map of a loss with its contours and a trajectory on it,
// and two slices of it.

const CELLS = 97;         // points of the map's grid along each weight

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
