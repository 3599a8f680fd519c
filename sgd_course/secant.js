// The slope between two points of a curve, drawn by the page, with chart.js. Both points can be
// dragged along the curve: the first one is x, the second x + h. From Python: _curve (xlim, ylim
// and line, pairs of x and f(x); xs and hs, where the points stop; y, f at each x; there, f(x + h)
// for each h and x; tangent, the slope at each x), _reset {h, x} and _twin. Both ways, to Python at
// most ten times a second: h and x. Python has computed f wherever a point stops, so that no
// number on the page lies between two others.

const doubles = ({ buffer, byteOffset, byteLength }) =>
  new Float64Array(buffer.slice(byteOffset, byteOffset + byteLength));

const nearest = (values, v) => values.reduce(
  (best, _, i) => Math.abs(values[i] - v) < Math.abs(values[best] - v) ? i : best, 0);

// What the numbers are at x number i, with h number k
function secantAt({ xs, hs, y, there, tangent }, k, i) {
  const run = hs[k], rise = there[k * xs.length + i] - y[i], slope = rise / run;
  return { x: xs[i], y: y[i], run, rise, slope, tangent: tangent[i], off: slope - tangent[i] };
}

function paintSecant(canvas, { xlim, ylim, line }, s, tones) {
  const b = boxOf(canvas), pen = penOf(canvas, canvas.clientWidth, canvas.clientHeight);
  const place = (x, y) => [b.x + (x - xlim[0]) / (xlim[1] - xlim[0]) * b.width,
                           b.y + (ylim[1] - y) / (ylim[1] - ylim[0]) * b.height];
  axes(pen, b, ["x", "f(x)"], [...xlim, ...ylim].map(v => short(+v.toPrecision(3))), tones.ink);
  pen.save();
  pen.beginPath();
  pen.rect(b.x, b.y, b.width, b.height);
  pen.clip();
  const draw = (points, color, width, dash = []) => {
    Object.assign(pen, { strokeStyle: color, lineWidth: width });
    pen.setLineDash(dash);
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(...place(x, y));
    pen.stroke();
  };
  const through = slope => xlim.map(x => [x, s.y + slope * (x - s.x)]);
  const first = [s.x, s.y], second = [s.x + s.run, s.y + s.rise], corner = [s.x + s.run, s.y];
  draw(line, tones.path, 2);
  draw(through(s.tangent), tones.ink, 1, [6, 4]);
  draw(through(s.slope), GREEN, 2);
  draw([first, corner, second], tones.spot, 3);
  const [p, q, c] = [first, second, corner].map(v => place(...v));
  const dot = ([x, y], r) => { pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.fill(); };
  pen.fillStyle = tones.ink;
  dot(p, 8);
  dot(q, 5);
  Object.assign(pen, { fillStyle: tones.spot, font: "bold 13px system-ui, sans-serif" });
  const text = (words, x, y, align, base) => {
    Object.assign(pen, { textAlign: align, textBaseline: base });
    pen.fillText(words, x, y);
  };
  if (Math.abs(c[0] - p[0]) > 34) {   // on the other side than the secant, if there is room
    const below = c[1] > q[1] ? c[1] < b.y + b.height - 24 : c[1] < b.y + 24;
    text("run", (p[0] + c[0]) / 2, c[1] + (below ? 8 : -8), "center", below ? "top" : "bottom");
  }
  if (Math.abs(q[1] - c[1]) > 20) {
    const right = q[0] > p[0] && q[0] < b.x + b.width - 40;
    const up = right ? 0.5 : 0.15;   // to the left there is room near the corner only
    text("rise", q[0] + (right ? 8 : -8), c[1] + up * (q[1] - c[1]), right ? "left" : "right",
         "middle");
  }
  pen.restore();
  return [p, q];
}

const GREEN = "#009e73";
const ROWS = {   // number: what it is called, and the line that shows it
  rise: "rise", run: "run, h", slope: "slope of the secant, rise / run",
  tangent: "slope of the tangent", off: "difference",
};

function render({ model, el }) {
  const curve = model.get("_curve"), { xs, hs, xlim } = curve;
  for (const name of ["y", "there", "tangent"]) curve[name] = doubles(curve[name]);
  let k = 0, i = 0;
  const read = () => { [k, i] = [nearest(hs, model.get("h")), nearest(xs, model.get("x"))]; };
  const { send, busy, stop } = courier(model, ["h", "x"], t => t === "h" ? hs[k] : xs[i]);
  const go = (h, x) => {
    const [a, b] = [h, x].map((v, n) => Math.min([hs, xs][n].length - 1, Math.max(0, v)));
    if (a === k && b === i) return;
    [k, i] = [a, b];
    show();
    send();
  };

  const canvas = control("canvas", { tabIndex: 0, className: "sgd-map", ariaLabel: "point x" });
  canvas.setAttribute("role", "slider");
  const range = control("input", { type: "range", min: 0, max: hs.length - 1, step: 1 });
  const value = make("output");
  const reset = control("button", { type: "button", textContent: "Reset" });
  const table = make("table"), cells = {};
  for (const [name, words] of Object.entries(ROWS)) {
    cells[name] = make("td");
    const line = make("span", { className: `sgd-line-${name}` });
    const head = make("th", { scope: "row" }, line, words);
    table.append(make("tr", {}, head, cells[name]));
  }
  const where = table.createCaption();
  live(el, model);
  el.classList.add("sgd-secant");
  el.append(
    make("div", { className: "sgd-sliders" },
      make("label", {}, make("span", { textContent: "h, the step size" }), range, value), reset),
    make("div", { className: "sgd-views" },
      make("figure", {}, canvas, make("figcaption", { textContent:
        "Drag the large point along the curve (or focus the picture and press the arrow keys, with "
        + "Shift for small steps). The small one is at x + h: drag it, or slide h." })),
      make("div", {}, table)));

  let points = [];
  function show() {
    const tones = tonesOf(el);
    if (canvas.clientWidth) points = paintSecant(canvas, curve, secantAt(curve, k, i), tones);
    el.style.setProperty("--sgd-spot", tones.spot);
    report();
  }
  const report = afterPicture(() => {
    const s = secantAt(curve, k, i);
    for (const name of Object.keys(ROWS)) write(cells[name], short(s[name]));
    write(where, `At x = ${short(s.x)}`);
    range.value = k;
    write(value, short(s.run));
    const words = `slope ${short(s.slope)}, that of the tangent ${short(s.tangent)}`;
    range.setAttribute("aria-valuetext", `${short(s.run)}: ${words}`);
    for (const [name, v] of Object.entries({ min: xs[0], max: xs.at(-1), now: s.x, text:
      `${short(s.x)}: rise ${short(s.rise)} over run ${short(s.run)}, ${words}` }))
      canvas.setAttribute(`aria-value${name}`, v);
  });

  // mouse, finger or pen: the first one that touches drags a point, until it is lifted
  let pointer = null, second = false;
  const place = e => {
    const r = canvas.getBoundingClientRect(), b = boxOf(canvas);
    const x = xlim[0] + (e.clientX - r.left - b.x) / b.width * (xlim[1] - xlim[0]);
    if (second) go(nearest(hs, x - xs[i]), i);
    else go(k, nearest(xs, x));
  };
  canvas.addEventListener("pointerdown", e => {
    if (pointer !== null || e.button !== 0) return;
    pointer = e.pointerId;
    canvas.setPointerCapture(pointer);
    const [first, other] = points.map(([x, y]) => Math.hypot(x - e.offsetX, y - e.offsetY));
    second = other < first && other < 24;
    place(e);
  });
  canvas.addEventListener("pointermove", e => { if (e.pointerId === pointer) place(e); });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    canvas.addEventListener(end, e => { if (e.pointerId === pointer) pointer = null; });
  canvas.addEventListener("keydown", e => {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    const n = xs.length, step = e.shiftKey ? 1 : Math.max(1, Math.round(n / 40));
    const to = { ArrowLeft: i - step, ArrowDown: i - step, ArrowRight: i + step, ArrowUp: i + step,
                 PageDown: i - 4 * step, PageUp: i + 4 * step, Home: 0, End: n - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    go(k, to);
  });
  range.addEventListener("input", () => go(+range.value, i));
  reset.addEventListener("click", () => {
    const { h, x } = model.get("_reset");
    go(nearest(hs, h), nearest(xs, x));
  });
  for (const t of ["h", "x"])   // from Python, or from another view
    model.on(`change:${t}`, () => { if (!busy()) { read(); show(); } });

  const sizes = new ResizeObserver(show), themes = new MutationObserver(show);
  sizes.observe(canvas);
  themes.observe(document.body, { attributes: true });
  read();
  show();
  return () => { stop(); sizes.disconnect(); themes.disconnect(); };
}

export default { render };
