// What unit.js computes: a hidden layer of ReLU units on points of the plane, its loss, gradient
// and steps, where each unit's kink lies, and words for it. No page is needed. A network is
// {w, b, v, c}: weights [first, second] of each unit, its bias, its output weight, and the output
// bias; data are {x: [[first, second], ...], y: [0 or 1, ...]}. Formulas are those of lesson 11.

const scoreAt = ({ w, b, v, c }, x, y) => {
  let score = c;
  for (let i = 0; i < w.length; i++) {
    const z = w[i][0] * x + w[i][1] * y + b[i];
    if (z > 0) score += v[i] * z;
  }
  return score;
};

// Cross-entropy of a score: ln(1 + e^-s) for the label 1, ln(1 + e^s) for 0
const entropy = (score, y) => {
  const z = y ? -score : score;
  return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
};

// Loss, its gradient, how many points are right, and on how many each unit is active
function measure(net, { x, y }) {
  const { w, v } = net, n = x.length, zeros = () => w.map(() => 0);
  const grad = { w: w.map(() => [0, 0]), b: zeros(), v: zeros(), c: 0 }, active = zeros();
  let loss = 0, right = 0;
  x.forEach(([x0, x1], k) => {
    const score = scoreAt(net, x0, x1);
    loss += entropy(score, y[k]) / n;
    right += score > 0 === y[k] > 0;
    const slope = (1 / (1 + Math.exp(-score)) - y[k]) / n;   // of the loss along the score
    grad.c += slope;
    for (let i = 0; i < w.length; i++) {
      const z = w[i][0] * x0 + w[i][1] * x1 + net.b[i];
      if (!(z > 0)) continue;   // the ReLU is flat here: nothing reaches the unit
      active[i]++;
      grad.v[i] += slope * z;
      grad.b[i] += slope * v[i];
      grad.w[i][0] += slope * v[i] * x0;
      grad.w[i][1] += slope * v[i] * x1;
    }
  });
  return { loss, grad, right, active };
}

// The network one step further, against its gradient
const stepOf = ({ w, b, v, c }, grad, lr) => ({
  w: w.map((pair, i) => pair.map((u, k) => u - lr * grad.w[i][k])),
  b: b.map((u, i) => u - lr * grad.b[i]),
  v: v.map((u, i) => u - lr * grad.v[i]),
  c: c - lr * grad.c,
});

// Scores on a grid of n by n points, from -reach to reach
function scoresOn(net, reach, n) {
  const values = new Float64Array(n * n), at = i => reach * (2 * i / (n - 1) - 1);
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++)
    values[j * n + i] = scoreAt(net, at(i), at(j));
  return { values, n };
}

// A unit as a hand has it: the slope beyond its kink, the way it rises (degrees, 0 to the right, 90
// up), and how far from the middle of the plane the kink lies on that way; and back
const handOf = ([wx, wy], b) => {
  const slope = Math.hypot(wx, wy), turn = Math.atan2(wy, wx) * 180 / Math.PI;
  return { slope, turn: (turn + 360) % 360, place: slope ? -b / slope : 0 };
};
const unitOf = ({ slope, turn, place }) => {
  const angle = turn * Math.PI / 180;
  return { w: [slope * Math.cos(angle), slope * Math.sin(angle)], b: -slope * place };
};

// The ends of a kink within the plane, or null if it lies outside
function kinkOf([wx, wy], b, reach) {
  const size = wx * wx + wy * wy;
  if (!size) return null;
  const foot = [-b * wx / size, -b * wy / size], way = [-wy, wx];
  let from = -Infinity, to = Infinity;
  for (const k of [0, 1]) {
    if (!way[k] && Math.abs(foot[k]) > reach) return null;
    const ends = [-1, 1].map(side => (side * reach - foot[k]) / way[k]).sort((p, q) => p - q);
    if (way[k]) [from, to] = [Math.max(from, ends[0]), Math.min(to, ends[1])];
  }
  return from < to ? [from, to].map(t => foot.map((f, k) => f + t * way[k])) : null;
}

// The point of a kink, within the plane, that is nearest to another
function nearestOn([p, q], point) {
  const way = [q[0] - p[0], q[1] - p[1]], dot = (a, b) => a[0] * b[0] + a[1] * b[1];
  const t = dot([point[0] - p[0], point[1] - p[1]], way) / dot(way, way);
  return p.map((v, k) => v + Math.min(0.95, Math.max(0.05, t)) * way[k]);
}

const two = v => short(+v.toFixed(2));
const tellKink = ({ turn, slope, place }, v) => `direction ${turn.toFixed(0)} degrees, `
  + `slope ${two(slope)}, shift ${two(place)}, output weight ${two(v)}`;

// What a network does, in words: first how good it is, then what a learner should know of its units
function tell(net, { y }, { loss, right, active }, unit) {
  const n = y.length, h = active.length, points = k => `${k} of ${n} points`;
  const percent = right === n ? "all points"
    : `${Math.min(99.9, Math.round(1000 * right / n) / 10)} %`;
  const of = i => !active[i] ? `is 0 on all points: no gradient reaches it`
    : !net.v[i] ? "has the output weight 0: it adds nothing"
    : active[i] === n ? "is active on all points: its kink divides nothing"
    : `is active on ${points(active[i])}`;
  const dead = active.map((k, i) => i).filter(i => i !== unit && (!active[i] || !net.v[i]));
  return `${h} unit${h === 1 ? "" : "s"}: ${percent} right, loss ${+loss.toPrecision(3)}. `
    + [unit, ...dead].map(i => `Unit ${i + 1} ${of(i)}.`).join(" ");
}
