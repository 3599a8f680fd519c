// What unit.js draws, with chart.js: the plane with its points, the kinks and the decision
// boundary; and the response of one unit across its kink.

const GRID = 65;          // points of the plane's grid to each side
const COLOURS = [[213, 94, 0], [0, 114, 178]];   // of the labels 0 and 1

// A square for the plane, and how to go from its numbers to the canvas and back
function frameOf(map, reach) {
  const { x, y, width, height } = boxOf(map), side = Math.min(width, height);
  const k = side / (2 * reach);
  return { x, y, width: side, height: side, k,
           place: ([u, v]) => [x + (u + reach) * k, y + (reach - v) * k],
           back: (px, py) => [(px - x) / k - reach, reach - (py - y) / k] };
}

// How far from its kink a unit's handle is, in dots, and which slope that stands for
const lengthOf = (frame, slope) => frame.width / 2 * slope / (slope + 2);
const slopeOf = (frame, length) => {
  const part = Math.min(0.9, Math.max(0.03, length / (frame.width / 2)));
  return 2 * part / (1 - part);
};

const markOf = ink => ink === "#fff" ? "#f0e442" : "#8e2a7f";   // the selected unit's colour

function dot(pen, [x, y], label, r) {   // the label 1 as a disc, 0 as a square
  pen.beginPath();
  if (label) pen.arc(x, y, r, 0, 7);
  else pen.rect(x - r, y - r, 2 * r, 2 * r);
}

// The points alone, as large as `map`, since they do not change with each movement, and a small
// canvas for the colours, which do
function papersOf(map, { x, y }, frame, ink) {
  const canvas = make("canvas"), pen = penOf(canvas, map.clientWidth, map.clientHeight);
  pen.lineWidth = 1;
  pen.strokeStyle = ink === "#fff" ? "#000" : "#fff";
  x.forEach((point, k) => {
    pen.fillStyle = `rgb(${COLOURS[y[k]]})`;
    dot(pen, frame.place(point), y[k], 3.5);
    pen.fill();
    pen.stroke();
  });
  const colours = make("canvas", { width: GRID, height: GRID });
  return { points: canvas, colours, picture: new ImageData(GRID, GRID) };
}

// The more certain the network is, the stronger the colour: from none at a probability of 1/2
function shade({ values, n }, { colours, picture }) {
  const { data } = picture;
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) {
    const probability = 1 / (1 + Math.exp(-values[j * n + i])), at = 4 * ((n - 1 - j) * n + i);
    const [red, green, blue] = COLOURS[probability > 0.5 ? 1 : 0];
    data[at] = red;
    data[at + 1] = green;
    data[at + 2] = blue;
    data[at + 3] = 130 * Math.abs(2 * probability - 1);
  }
  colours.getContext("2d").putImageData(picture, 0, 0);
  return colours;
}

// Where each unit can be taken hold of, on the canvas: null, or its kink's {ends, middle, tip},
// with `at`, the middle in the plane, and `scale`: how much longer the arrow would be if its tip
// did not have to stay in the picture. `middles` are where hands have left them
const handlesOf = ({ w, b }, middles, frame, reach) => w.map((pair, i) => {
  const ends = kinkOf(pair, b[i], reach);
  if (!ends) return null;
  const at = nearestOn(ends, middles[i] ?? [0, 0]), size = Math.hypot(...pair);
  const [x, y] = frame.place(at), way = [pair[0] / size, -pair[1] / size];
  const room = [0, 1].map(k => {
    const from = [x - frame.x, y - frame.y][k], to = way[k] > 0 ? frame.width - from : from;
    return (to - 10) / Math.abs(way[k]);
  });
  const length = lengthOf(frame, size), shown = Math.max(14, Math.min(length, ...room));
  return { ends: ends.map(frame.place), middle: [x, y], at, scale: length / shown,
           tip: [x + shown * way[0], y + shown * way[1]] };
});

// `unit`: number of the chosen one
function paintPlane(map, papers, net, data, reach, handles, unit, { ink }) {
  const frame = frameOf(map, reach), pen = penOf(map, map.clientWidth, map.clientHeight);
  const scores = scoresOn(net, reach, GRID), { x, y, width, height } = frame;
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.drawImage(shade(scores, papers), x, y, width, height);
  pen.beginPath();
  const cell = width / (GRID - 1);
  for (const [x0, y0, x1, y1] of contour(scores, 0)) {
    pen.moveTo(x + x0 * cell, y + height - y0 * cell);
    pen.lineTo(x + x1 * cell, y + height - y1 * cell);
  }
  Object.assign(pen, { strokeStyle: ink, lineWidth: 3.5, lineCap: "round" });
  pen.stroke();
  pen.drawImage(papers.points, 0, 0, map.clientWidth, map.clientHeight);
  pen.lineWidth = 1.5;
  data.x.forEach((point, k) => {   // those that are wrong have a ring
    if (scoreAt(net, ...point) > 0 === data.y[k] > 0) return;
    dot(pen, frame.place(point), 1, 6.5);
    pen.stroke();
  });
  pen.restore();
  const order = handles.map((h, i) => i).sort((i, j) => (i === unit) - (j === unit));
  for (const i of order) if (handles[i]) paintKink(pen, handles[i], i, i === unit, ink);
  axes(pen, frame, ["first input", "second input"],
       [-reach, reach, -reach, reach].map(r => short(+r.toFixed(1))), ink);
}

function paintKink(pen, { ends, middle, tip }, i, chosen, ink) {
  const colour = chosen ? markOf(ink) : ink, paper = ink === "#fff" ? "#000" : "#fff";
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: chosen ? 2.5 : 1.2 });
  pen.beginPath();
  pen.moveTo(...ends[0]);
  pen.lineTo(...ends[1]);
  pen.moveTo(...middle);
  pen.lineTo(...tip);
  pen.stroke();
  dot(pen, middle, 1, 3.5);
  pen.fill();
  dot(pen, tip, 1, 9);
  pen.fillStyle = chosen ? colour : paper;
  pen.fill();
  pen.stroke();
  Object.assign(pen, { fillStyle: chosen ? paper : ink, textAlign: "center",
                       textBaseline: "middle", font: "bold 12px system-ui, sans-serif" });
  pen.fillText(i + 1, tip[0], tip[1] + 0.5);
  pen.font = "12px system-ui, sans-serif";
}

// Which unit a point of the canvas takes hold of, and if to turn it: its tip comes before a line,
// and of two as near the chosen one
function grabbed(handles, point, wide, chosen) {
  const far = p => Math.hypot(p[0] - point[0], p[1] - point[1]);
  const nearest = (distance, most) => handles
    .map((h, i) => [h ? distance(h) : Infinity, i])
    .filter(([d]) => d < most * wide)
    .sort(([d, i], [f, j]) => d - f || (j === chosen) - (i === chosen))[0]?.[1];
  const tip = nearest(h => far(h.tip), 13);
  const i = tip ?? nearest(h => far(nearestOn(h.ends, point)), 9);
  return i === undefined ? null : { i, turn: tip !== undefined };
}

// The response of unit number i along the way on which it rises, with the points where they lie
function paintProfile(canvas, { w, b }, i, data, reach, { ink }) {
  const box = boxOf(canvas), pen = penOf(canvas, canvas.clientWidth, canvas.clientHeight);
  const { slope, place } = handOf(w[i], b[i]), top = 3 * reach;
  const at = (t, v) => [box.x + (t + reach) / (2 * reach) * box.width,
                        box.y + box.height * (1 - v / top)];
  const response = t => Math.max(0, slope * (t - place));
  axes(pen, box, [`across the kink of unit ${i + 1}`, "response"],
       [-reach, reach, 0, top].map(v => short(+v.toFixed(1))), ink);
  pen.save();
  pen.beginPath();
  pen.rect(box.x, box.y, box.width, box.height + 4);
  pen.clip();
  Object.assign(pen, { strokeStyle: markOf(ink), lineWidth: 2.5 });
  pen.beginPath();
  const corner = Math.min(reach, Math.max(-reach, place));
  for (const t of [-reach, corner, reach]) pen.lineTo(...at(t, response(t)));
  pen.stroke();
  if (slope) data.x.forEach(([x0, x1], k) => {
    const t = (w[i][0] * x0 + w[i][1] * x1) / slope;
    pen.fillStyle = `rgb(${COLOURS[data.y[k]]})`;
    dot(pen, at(t, response(t)), data.y[k], 2.5);
    pen.fill();
  });
  pen.restore();
}
