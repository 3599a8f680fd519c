// What surface.js computes: losses of two weights, optimizers, trajectories, and words for them.
// No page is needed. The formulas are those of surface.py and optimizers.py, in the same order.

const sigmoid = v => 1 / (1 + Math.exp(-v));
const quadraticForm = (x, y, { hessian: [a, b, c], minimum: [p, q], value }) => {
  const [gx, gy] = [a * (x - p) + b * (y - q), b * (x - p) + c * (y - q)];
  return [value + ((x - p) * gx + (y - q) * gy) / 2, gx, gy];
};

// kind of surface: function of two weights and its numbers that returns loss and both slopes
const LOSSES = {
  bowl: (x, y, { condition }) => [(x ** 2 + condition * y ** 2) / 2, x, condition * y],
  quadratic: quadraticForm,
  rosenbrock: (x, y) => [(1 - x) ** 2 + 100 * (y - x ** 2) ** 2,
                         -2 * (1 - x) - 400 * x * (y - x ** 2), 200 * (y - x ** 2)],
  saddle: (x, y) => [x ** 2 / 2 - y ** 2 / 2 + y ** 4 / 4, x, -y + y ** 3],
  "two minima": (x, y) => [(x ** 2 - 1) ** 2 + 0.3 * x + y ** 2 / 2,
                           4 * x * (x ** 2 - 1) + 0.3, y],
  plateau: (x, y) => {   // one neuron that is to say 0.8 for 1, and 0.2 for -1
    const a = sigmoid(y + x), b = sigmoid(y - x);
    const [da, db] = [(a - 0.8) * a * (1 - a), (b - 0.2) * b * (1 - b)];
    return [((a - 0.8) ** 2 + (b - 0.2) ** 2) / 2, da - db, da + db];
  },
  grid: (x, y, { values, n, xlim, ylim }) => {   // bilinear; beyond the edge, as the last cell
    const place = (v, [low, high]) => {
      const u = (v - low) / (high - low) * (n - 1);
      const i = Math.min(n - 2, Math.max(0, Math.floor(u)));
      return [i, u - i];
    };
    const [i, s] = place(x, xlim), [j, t] = place(y, ylim);
    return [0, 1, 2].map(m => {   // losses, and slopes along both weights
      const k = m * n * n + j * n + i;
      const [a, b, c, d] = [values[k], values[k + 1], values[k + n], values[k + n + 1]];
      return a * (1 - s) * (1 - t) + b * s * (1 - t) + c * (1 - s) * t + d * s * t;
    });
  },
};

// optimizer: function of one weight's gradient and state, and the settings, that returns what is
// multiplied by the learning rate; lesson 13
const EPS = 1e-8;
const average = (old, beta, now) => beta * (old ?? 0) + (1 - beta) * now;
const OPTIMIZERS = {
  SGD: grad => grad,
  Momentum: (grad, m, { mom }) => m.sum = mom * (m.sum ?? 0) + grad,
  RMSprop: (grad, m, { sqr_mom }) => {
    m.sqr = average(m.sqr, sqr_mom, grad * grad);
    return grad / (Math.sqrt(m.sqr) + EPS);
  },
  Adam: (grad, m, { mom, sqr_mom }) => {
    m.n = (m.n ?? 0) + 1;
    m.avg = average(m.avg, mom, grad);
    m.sqr = average(m.sqr, sqr_mom, grad * grad);
    const avg = m.avg / (1 - mom ** m.n), sqr = m.sqr / (1 - sqr_mom ** m.n);
    return avg / (Math.sqrt(sqr) + EPS);
  },
};

// The same noise each time, so that what a slider changes is what the slider does
const normals = seed => () => {
  const uniform = () => {   // mulberry32
    let t = seed = (seed + 0x6D2B79F5) | 0;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
};

const FAR = 1e3;   // of the picture's size: farther away, a trajectory has diverged
const lossOf = (surface, s) => {
  const numbers = { ...surface, condition: s.condition ?? surface.condition };
  return (x, y) => LOSSES[surface.kind](x, y, numbers);
};

// points, losses, the last step's numbers, and `end` if it ended early: "far" or "left" the grid
function descend(surface, s) {
  const loss = lossOf(surface, s), normal = normals(s.seed ?? 1), memory = [{}, {}];
  const { xlim, ylim } = surface, size = Math.max(xlim[1] - xlim[0], ylim[1] - ylim[0]);
  const { noise: [[a], [b, c]], examples: all } = surface;
  const apart = s.bs ? Math.sqrt((all ? (all - s.bs) / (all - 1) : 1) / s.bs) : 0;   // lesson 09
  const inside = ([x, y]) => surface.kind !== "grid"
    || (x >= xlim[0] && x <= xlim[1] && y >= ylim[0] && y <= ylim[1]);
  const near = w => w.every(v => Math.abs(v) < FAR * size);
  let w = [...s.start], [value, ...grad] = loss(...w), last = null, end = "";
  const path = [w], losses = [value];
  for (let k = 0; k < s.steps && !end; k++) {
    const [p, q] = apart ? [normal(), normal()] : [0, 0];
    const noisy = [grad[0] + apart * a * p, grad[1] + apart * (b * p + c * q)];
    const direction = noisy.map((g, i) => OPTIMIZERS[s.optimizer](g, memory[i], s));
    const next = w.map((v, i) => v - s.lr * direction[i]);
    last = { before: w, grad: noisy, direction, after: next };
    w = next;
    [value, ...grad] = loss(...w);
    end = !near(w) || !Number.isFinite(value) ? "far" : inside(w) ? "" : "left";
    path.push(w);
    losses.push(value);
  }
  return { path, losses, last, end };
}

// Which of its minima, whose losses are equal if they differ by no more than `rounding`
function nameOf({ minima }, loss, point, rounding) {
  const all = minima.map(p => loss(...p)[0]), above = loss(...point)[0] - Math.min(...all);
  return all.length === 1 ? "the minimum"
    : above > rounding ? "a local minimum (another is lower)"
    : Math.max(...all) - Math.min(...all) > rounding ? "the lowest minimum" : "a minimum";
}

// Are slope and curvature small, as measured by the picture's size and the range of its losses?
function isFlat(loss, w, scale, range, step) {
  const slopes = w => loss(...w).slice(1).map((g, i) => g * scale[i]), here = slopes(w);
  const bends = [0, 1].map(i => {
    const there = slopes(w.map((v, j) => v + (i === j ? step * scale[j] : 0)));
    return Math.hypot(...there.map((g, j) => g - here[j])) / step;
  });
  return Math.hypot(...here) < 0.1 * range && Math.max(...bends) < range;
}

const CLOSE = 0.01;   // of the picture: as close as this to a minimum, it is reached

// What a trajectory does, in words
function judge(surface, s, run, { high, low }) {
  const { path, losses, end } = run, n = path.length - 1, last = path[n];
  const loss = lossOf(surface, s);
  const scale = [surface.xlim, surface.ylim].map(([a, b]) => b - a);
  const far = (p, q) => Math.hypot((p[0] - q[0]) / scale[0], (p[1] - q[1]) / scale[1]);
  const close = Math.max(CLOSE, surface.kind === "grid" ? 1 / (surface.n - 1) : 0);
  const steps = k => `${k} step${k === 1 ? "" : "s"}`;
  if (end === "left") return `leaves the grid after ${steps(n)}: no loss is known beyond it`;
  if (end === "far") return `diverges: after ${steps(n)} it is far outside the picture`;
  if (!n) return "has not moved yet: slide the steps";
  const overshoots = points => Math.max(...[0, 1].map(i => {   // along one weight, how often
    const moves = points.slice(1).map((p, k) => (p[i] - points[k][i]) / scale[i]);
    const large = moves.filter(v => Math.abs(v) > close / 5);
    return large.slice(1).filter((v, k) => v * large[k] < 0).length;
  }));
  const half = path.slice(n >> 1), shakes = overshoots(half) >= Math.max(2, half.length / 12);
  const settled = point => {   // after which step it stays close
    let k = n;
    while (k >= 0 && far(path[k], point) < close) k--;
    return k + 1 < n || (n > 0 && k + 1 === n && far(path[n - 1], last) < close) ? k + 1 : null;
  };
  if (!s.bs && surface.saddles.some(point => settled(point) !== null))
    return "is stuck at a saddle point: the gradient is almost 0, and yet there is a way down";
  for (const point of surface.minima) {
    const when = settled(point), name = nameOf(surface, loss, point, (high - low) * 1e-9);
    if (when !== null) return `reaches ${name} after ${steps(when)}`
      + (overshoots(path) > 1 && !s.bs ? ", overshooting on the way" : "");
    const tail = path.slice(-Math.ceil(n / 3)), mean = [0, 1].map(
      i => tail.reduce((sum, p) => sum + p[i], 0) / tail.length);
    if (s.bs && far(mean, point) < 0.1 && tail.every(p => far(p, point) < 0.35))
      return `hovers around ${name}: the noise does not let it settle`;
  }
  const outside = [surface.xlim, surface.ylim].some(
    ([a, b], i) => last[i] < a - (b - a) || last[i] > b + (b - a));
  const mean = (a, b) => losses.slice(a, b).reduce((sum, v) => sum + v, 0) / (b - a);
  const q = Math.max(1, n >> 2), late = mean(n + 1 - q, n + 1);
  const before = mean(n + 1 - 2 * q, n + 1 - q);
  if (outside && losses[n] > losses[0]) return "diverges: each step takes it farther away";
  if (shakes && !s.bs) {
    const [now, then] = [late - low, before - low];
    return now > 1.1 * then ? "diverges: it oscillates ever more widely"
      : now > 0.9 * then ? "oscillates from one side to the other, and comes no closer"
      : "oscillates from one side to the other, and comes closer";
  }
  const still = far(half[0], last) < 5 * close && losses[n] - low > 0.02 * (high - low);
  if (!s.bs && still && isFlat(loss, last, scale, high - low, close / 4))
    return "is stuck on a plateau: the gradient is almost 0, and so are the steps";
  if (losses[n] > losses[0]) return "has gone uphill: the loss is larger than at the start";
  const rises = losses.slice(-q).filter((v, k, some) => v > some[k - 1]).length;
  if (s.bs && rises > q / 4 && late - low > 0.8 * (before - low))
    return "is thrown about by the noise, and comes no closer";
  const [lowest] = surface.minima.map(p => `; its minimum is ${short(loss(...p)[0])}`);
  return `converges slowly: after ${steps(n)} the loss is ${short(losses[n])}${lowest ?? ""}`;
}
