// From strokes to a score, without Python: what draw.ipynb does, with the same arithmetic, so that
// the same numbers come out. A model is a stack of layers, from Python's _net {layers (each
// [inputs, outputs, 1 with a ReLU]), weights (float32, base64: of each layer the weights, row by
// row, then the biases), limit, rest}.

const BOX = 20, PEN = 2.6, ZOOM = 16;   // as in Python: pixels, pixels, and dots for each pixel
const LEAST = 0.09;   // what is smaller than a line is wide, of the paper's side, is a dot

// The dots that have ink: all whose middle is under the pen
function inkOf(strokes) {
  const r = PEN * ZOOM / 2, low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const p of strokes.flat())
    for (const k of [0, 1]) {
      low[k] = Math.min(low[k], p[k]);
      high[k] = Math.max(high[k], p[k]);
    }
  const span = [0, 1].map(k => high[k] - low[k]);
  const scale = (BOX - PEN) * ZOOM / Math.max(...span, LEAST);
  const [w, h] = span.map(s => Math.ceil(s * scale + 2 * r - 1e-6));
  const dots = new Uint8Array(w * h);
  for (const stroke of strokes) {
    const path = stroke.map(p => p.map((v, k) => (v - low[k]) * scale + r));
    path.forEach(([bx, by], n) => {
      const [ax, ay] = path[Math.max(n - 1, 0)];
      const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy || 1;
      const last = Math.min(h, Math.max(ay, by) + r), end = Math.min(w, Math.max(ax, bx) + r);
      for (let i = Math.max(0, Math.floor(Math.min(ay, by) - r)); i < last; i++)
        for (let j = Math.max(0, Math.floor(Math.min(ax, bx) - r)); j < end; j++) {
          if (dots[i * w + j]) continue;
          const px = j + 0.5 - ax, py = i + 0.5 - ay;
          const t = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
          const ex = px - t * dx, ey = py - t * dy;
          if (ex * ex + ey * ey <= r * r) dots[i * w + j] = 1;
        }
    });
  }
  return { dots, w, h, dot: Math.max(...span) < LEAST };
}

const roundHalfEven = v => {
  const up = Math.floor(v + 0.5);
  return up - v === 0.5 && up % 2 ? up - 1 : up;
};

// Which of n dots each of `size` pixels is the mean of, as Pillow's box filter has it
const shareOut = (n, size) => Array.from({ length: size }, (_, k) => {
  const scale = n / size, wide = Math.max(scale, 1), middle = (k + 0.5) * scale;
  const from = Math.max(0, Math.trunc(middle - wide / 2 + 0.5));
  const to = Math.min(n, Math.trunc(middle + wide / 2 + 0.5));
  return Array.from({ length: to - from }, (_, i) => from + i).filter(j => {
    const off = (j - middle + 0.5) * (1 / wide);
    return off > -0.5 && off <= 0.5;
  });
});

// 784 pixels: without margins in a box of 20 by 20, the centre of mass in the middle of 28 by 28
function toMnist({ dots, w, h }) {
  let top = h, left = w, bottom = -1, right = -1;
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++)
      if (dots[i * w + j]) {
        [top, left] = [Math.min(top, i), Math.min(left, j)];
        [bottom, right] = [Math.max(bottom, i), Math.max(right, j)];
      }
  const full = [bottom + 1 - top, right + 1 - left];
  const size = full.map(n => Math.max(1, roundHalfEven(n * BOX / Math.max(...full))));
  const [rows, columns] = full.map((n, k) => shareOut(n, size[k]));
  const small = rows.map(is => columns.map(js => {
    let sum = 0;
    for (const i of is) for (const j of js) sum += dots[(top + i) * w + left + j];
    return Math.min(1, sum / (is.length * js.length));
  }));
  const mass = [0, 0];
  let total = 0;
  small.forEach((row, i) => row.forEach((v, j) => {
    total += v;
    mass[0] += v * i;
    mass[1] += v * j;
  }));
  const [y, x] = mass.map((m, k) =>   // less a little, so that what is even falls to one side
    Math.min(Math.max(Math.ceil(13.5 - m / total - 1e-6), 0), 28 - size[k]));
  const pixels = new Float64Array(784);
  small.forEach((row, i) => pixels.set(row, 28 * (y + i) + x));
  return pixels;
}

// A stack of layers, from what Python sent; null if it sent none
function netOf({ layers, weights, ...more }) {
  if (!layers) return null;
  const numbers = new Float32Array(Uint8Array.from(atob(weights), c => c.charCodeAt(0)).buffer);
  let at = 0;
  const take = n => numbers.subarray(at, at += n);
  const layer = ([n, k, relu]) => ({ n, k, relu, w: take(n * k), b: take(k) });
  return { ...more, layers: layers.map(layer) };
}

// The scores, and with them a function: what each pixel adds to a sum of scores times `factors`
function scoresOf({ layers }, x) {
  const kept = [x];
  for (const { n, k, relu, w, b } of layers) {
    const input = kept.at(-1), out = Float64Array.from(b);
    for (let i = 0; i < k; i++)
      for (let j = 0; j < n; j++) out[i] += w[i * n + j] * input[j];
    kept.push(relu ? out.map(v => Math.max(0, v)) : out);
  }
  const shares = factors => {
    let slopes = factors;
    for (const [m, { n, k, relu, w }] of [...layers.entries()].reverse()) {
      const below = new Float64Array(n);
      for (let i = 0; i < k; i++) {
        if (relu && !(kept[m + 1][i] > 0)) continue;
        for (let j = 0; j < n; j++) below[j] += slopes[i] * w[i * n + j];
      }
      slopes = below;
    }
    return slopes.map((v, i) => v * x[i]);
  };
  return { scores: kept.at(-1), shares };
}

// What a model says to 784 pixels: as `answer` of Python's readers
function answerOf(net, x) {
  const { scores, shares } = scoresOf(net, x);
  if (scores.length === 1) {
    const probability = 1 / (1 + Math.exp(-scores[0]));
    return { score: scores[0], probability, shares: shares([1]), scores,
             pair: [0, 1], winner: scores[0] > 0 ? 0 : 1 };
  }
  const best = Math.max(...scores), powers = [...scores].map(s => Math.exp(s - best));
  const total = powers.reduce((a, b) => a + b), probs = powers.map(p => p / total);
  const [first, second] = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
  const factors = [...scores.keys()].map(k => (k === first) - (k === second));
  return { score: scores[first] - scores[second], probability: probs[first], scores, probs,
           shares: shares(factors), pair: [first, second], winner: first };
}

const GREYS = ["ffffff", "f0f0f0", "d9d9d9", "bdbdbd", "969696", "737373", "525252", "252525",
               "000000"];
const RED_BLUE = ["67001f", "b2182b", "d6604d", "f4a582", "fddbc7", "f7f7f7", "d1e5f0", "92c5de",
                  "4393c3", "2166ac", "053061"];

// The address of an image of numbers, row by row, from `low` to `high`
function imageOf(x, colours, low, high, width = 28) {
  const parts = colours.map(c => [0, 2, 4].map(k => parseInt(c.slice(k, k + 2), 16)));
  const canvas = make("canvas", { width, height: x.length / width });
  const pen = canvas.getContext("2d"), dots = pen.createImageData(width, x.length / width);
  x.forEach((v, i) => {
    const place = Math.min(1, Math.max(0, (v - low) / (high - low))) * (parts.length - 1);
    const k = Math.min(Math.floor(place), parts.length - 2);
    const mixed = parts[k].map((c, n) => Math.round(c + (place - k) * (parts[k + 1][n] - c)));
    dots.data.set([...mixed, 255], 4 * i);
  });
  pen.putImageData(dots, 0, 0);
  return canvas.toDataURL();
}

// In which ninth of an image there is most, in words
function whereMost(x) {
  const mean = (row, column) => {
    let sum = 0;
    for (let i = 9 * row; i < 9 * row + 10; i++)
      for (let j = 9 * column; j < 9 * column + 10; j++) sum += x[28 * i + j];
    return sum;
  };
  const ninths = Array.from({ length: 9 }, (_, k) => mean(Math.floor(k / 3), k % 3));
  const k = ninths.indexOf(Math.max(...ninths));
  const words = [["top", "middle", "bottom"][Math.floor(k / 3)], ["left", "", "right"][k % 3]];
  return k === 4 ? "centre" : words.filter(Boolean).join(" ");
}

// All that a page needs to show the answer to a drawing: as `message` of Python's readers
function messageOf(net, names, strokes) {
  const ink = inkOf(strokes), x = toMnist(ink), a = answerOf(net, x), name = "your drawing";
  const p = a.probs ? a.probability : Math.max(a.probability, 1 - a.probability);
  const aName = k => `${names[k].startsWith("8") ? "an" : "a"} ${names[k]}`;
  const [one, two] = a.pair.map(aName);
  const sums = [1, -1].map(side => a.shares.map(v => Math.max(0, side * v)));
  const [blue, red] = sums.map(part => part.reduce((sum, v) => sum + v));
  const number = v => `${v < 0 ? "" : "+"}${v.toFixed(2)}`;
  const where = [[one, "blue"], [two, "red"]].map(([digit, colour], k) =>
    `most for ${digit} (${colour}) at the ${whereMost(sums[k])}`);
  return {
    name, dot: ink.dot, score: a.score, probability: a.probability,
    words: `${names[a.winner]}, with probability ${p < 0.995 ? p.toFixed(2) : "over 0.99"}`,
    rows: [[`blue ink, for ${one}`, number(blue)], [`red ink, for ${two}`, number(-red)],
           [net.rest, number(a.score - blue + red)],
           [a.probs ? `lead of ${names[a.pair[0]]} over ${names[a.pair[1]]}` : "score", number(a.score)]],
    bars: a.probs?.map((p, k) => [names[k], p]),
    seen: imageOf(x, GREYS, 0, 1), seen_alt: `${name}, 28 by 28 pixels`,
    spoke: imageOf(a.shares, RED_BLUE, -net.limit, net.limit),
    spoke_alt: `Which pixels counted: ${where.join(", ")}`,
  };
}
