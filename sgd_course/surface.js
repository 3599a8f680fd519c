// A loss of two weights as a map, and what an optimizer does on it, all computed in the page, with
// landscape.js, chart.js and contours.js. From Python: _surfaces (each with what `descend` needs,
// and name, labels, note and lrs), _defaults (of each optimizer that is offered), _batches (is
// there a slider for their size?), _twin, and _reset (where Reset goes). Both ways, to Python at
// most ten times a second: surface, optimizer, start, lr, mom, sqr_mom, bs (`null`: all), condition
// and steps.

const tens = (from, to) => [...Array(10 * (to - from) + 1).keys()].map(
  k => +(10 ** (from + k / 10)).toPrecision(2));
const SLIDERS = {   // trait: what it is called, and where it stops
  lr: ["learning rate", tens(-6, 1)],
  mom: ["momentum", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99]],
  sqr_mom: ["beta2 (sqr_mom)", [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999]],
  bs: ["batch size", [...Array(11).keys()].map(k => 2 ** k)],
  condition: ["condition number", [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000]],
  steps: ["steps", []],
};
const TRAITS = ["surface", "optimizer", "start", ...Object.keys(SLIDERS)];

const clamp = (v, [low, high]) => +Math.min(high, Math.max(low, v)).toPrecision(4);

function render({ model, el }) {
  const surfaces = model.get("_surfaces").map(s => s.kind !== "grid" ? s : { ...s, values:
    new Float64Array(s.values.buffer.slice(s.values.byteOffset,
                                           s.values.byteOffset + s.values.byteLength)) });
  const read = () => Object.fromEntries(TRAITS.map(t => [t, model.get(t)]));
  const defaults = model.get("_defaults");   // of each optimizer, the settings that it uses
  const most = model.get("_reset").steps, group = `sgd-${Math.random()}`;
  let s = read(), kept = {}, paper = null, scan = null, drawn = "";
  const slides = surface => surface.condition !== undefined && !surface.fixed;
  const here = () => surfaces.find(({ name }) => name === s.surface);

  const post = courier(model, TRAITS, trait => s[trait]);
  const change = news => {
    Object.assign(s, news);
    kept[`${s.surface} ${s.optimizer}`] = { lr: s.lr, mom: s.mom, sqr_mom: s.sqr_mom };
    show();
    post.send();
  };
  // each optimizer has a learning rate of its own on each surface, and comes back to it
  const settings = (surface, optimizer) => kept[`${surface.name} ${optimizer}`]
    ?? { lr: surface.lrs[optimizer], ...defaults[optimizer] };
  const choose = surface => change({
    surface: surface.name, start: [...surface.start], condition: surface.condition ?? 1, bs: null,
    ...settings(surface, s.optimizer) });

  const map = control("canvas", { tabIndex: 0, className: "sgd-map" });
  map.setAttribute("role", "application");
  map.setAttribute("aria-roledescription", "map of a loss");
  const curve = make("canvas", { className: "sgd-curve" });
  curve.setAttribute("role", "img");
  const slices = [0, 1].map(() => make("canvas", { className: "sgd-slice" }));
  for (const canvas of slices) canvas.setAttribute("role", "img");
  const words = make("strong"), table = make("table");
  const note = make("p"), batch = make("p", { hidden: !model.get("_batches") });
  const reset = control("button", { type: "button", textContent: "Reset" });
  const pick = control("select");
  pick.append(...surfaces.map(({ name }) => make("option", { textContent: name })));
  pick.addEventListener("change", () => choose(surfaces[pick.selectedIndex]));
  const offered = Object.keys(defaults), radios = offered.map(name => {
    const radio = control("input", { type: "radio", name: group, value: name });
    radio.addEventListener("change",
      () => change({ optimizer: name, ...settings(here(), name) }));
    return radio;
  });
  // where a slider stops; a batch of all examples is `null`
  const stopsOf = trait => trait === "steps" ? [...Array(most + 1).keys()]
    : trait !== "bs" ? SLIDERS[trait][1]
    : [...SLIDERS.bs[1].filter(v => v < (here().examples ?? Infinity)), null];
  const idle = trait => trait === "bs" ? !model.get("_batches")
    : trait === "condition" ? !surfaces.some(slides)
    : trait.endsWith("mom") && !offered.some(name => trait in defaults[name]);
  const rows = Object.entries(SLIDERS).map(([trait, [name]]) => {
    const range = control("input", { type: "range", min: 0, step: 1 }), value = make("output");
    const row = make("label", { hidden: idle(trait) },
                     make("span", { textContent: name }), range, value);
    range.addEventListener("input", () => change({ [trait]: stopsOf(trait)[+range.value] }));
    return { trait, range, value, row };
  });
  live(el, model);
  el.classList.add("sgd-surface");
  el.append(
    make("div", { className: "sgd-choice" },
      make("label", { hidden: surfaces.length < 2 },
           make("span", { textContent: "surface" }), pick),
      make("fieldset", { hidden: offered.length < 2 },
        make("legend", { textContent: "optimizer" }), ...radios.map(
        radio => make("label", {}, radio, make("span", { textContent: radio.value }))))),
    make("div", { className: "sgd-sliders" }, ...rows.map(r => r.row)),
    make("div", { className: "sgd-verdict" }, make("div", { ariaLive: "polite" }, words), reset),
    make("div", { className: "sgd-views" },
      make("figure", {}, map, make("figcaption", { textContent:
        "Click or drag in the map to move the start \u25cb (or focus it and press arrow keys); "
        + "\u25cf is where the steps end, + a minimum, \u00d7 a saddle point. From one line to the "
        + "next, the height above the lowest loss about doubles." })),
      make("div", {}, curve, table)),
    make("div", { className: "sgd-views" }, ...slices.map(canvas => make("div", {}, canvas))),
    make("p", { textContent: "Slices: the loss along each weight, while the other one stays where "
      + "the steps end." }), batch, note);

  // the cells stay, since a new table takes milliseconds
  const lines = ["", "weight", "gradient", "direction", "lr × direction", "new weight"];
  const cells = lines.map((name, i) => {
    const two = [0, 1].map(() => make(i ? "td" : "th", i ? {} : { scope: "col" }));
    table.append(make("tr", {}, make(i ? "th" : "td", i ? { scope: "row", textContent: name }
      : {}), ...two));
    return two;
  });
  const caption = table.createCaption();
  function fill(surface, { last, losses }) {
    const empty = ["", ""], { before, grad, direction, after } = last
      ?? { before: s.start, grad: empty, direction: empty, after: s.start };
    write(caption, `Step ${losses.length - 1}; loss ${short(losses.at(-1))}`);
    const numbers = [surface.labels, before, grad, direction,
                     direction.map(d => d === "" ? "" : s.lr * d), after];
    numbers.forEach((pair, i) => pair.forEach((v, j) => {
      write(cells[i][j], typeof v === "number" ? short(v) : v);
    }));
  }

  function tellSettings(surface) {
    rows.forEach(({ trait, range, value, row }) => {
      const stops = stopsOf(trait), far = i => Math.abs((stops[i] ?? 1e9) - (s[trait] ?? 1e9));
      range.max = stops.length - 1;
      range.value = stops.reduce((best, _, i) => far(i) < far(best) ? i : best, 0);
      const text = s[trait] === null ? `all ${surface.examples ?? ""}` : short(s[trait]);
      range.setAttribute("aria-valuetext", text);
      range.disabled = trait === "condition" ? !slides(surface)   // stays where it is, for peace
        : trait.endsWith("mom") && !(trait in defaults[s.optimizer]);
      row.classList.toggle("sgd-off", range.disabled);
      const used = !range.disabled || trait === "condition" && surface.fixed;
      write(value, used ? text : "not used");
    });
    radios.forEach(radio => { radio.checked = radio.value === s.optimizer; });
    pick.selectedIndex = surfaces.indexOf(surface);
    write(note, surface.note);
    note.hidden = !surface.note;
    write(batch, "A batch's gradient is that of all examples, and noise (lesson 09): "
      + (surface.examples ? `as large as measured at the minimum, of ${surface.examples} examples.`
        : "here one example's is as large as the gradient where this surface begins."));
  }
  function tellRun(surface, run, last) {
    write(words, `${s.optimizer} ${judge(surface, s, run, scan)}.`);
    slices.forEach((canvas, i) => {
      canvas.ariaLabel = `Loss along the ${surface.labels[i]}, the other one at `
        + short(last[1 - i]);
    });
    const ends = [run.losses[0], run.losses.at(-1)].map(short);
    curve.ariaLabel = `Loss at each step, from ${ends[0]} to ${ends[1]}`;
    map.ariaLabel = `Contours of the loss ${surface.name}. Start at ${s.start.map(short)
      .join(", ")}; end at ${run.path.at(-1).map(short).join(", ")}. ${words.textContent} `
      + "Arrow keys move the start, with Shift in smaller steps.";
  }
  function paint(surface, run, last) {   // reads sizes: before anything is written
    const tones = tonesOf(el), size = [map.clientWidth, map.clientHeight, devicePixelRatio];
    // the map itself is kept: only the trajectory is drawn for each movement
    const key = [surface.name, s.condition, tones.ink, ...size].join();
    if (key !== drawn) {
      scan = survey(surface, s, CELLS);
      [drawn, paper] = [key, drawPaper(map, surface, scan, tones.ink)];
    }
    paintMap(map, paper, surface, run, tones);
    paintCurve(curve, run, tones);
    slices.forEach((canvas, i) => paintSlice(canvas, surface, s, last, i, tones));
  }
  let shown = null;   // what the picture shows
  const report = afterPicture(() => {
    tellSettings(shown.surface);
    fill(shown.surface, shown.run);
    if (scan) tellRun(shown.surface, shown.run, shown.last);
  });
  function show() {
    const surface = here(), run = descend(surface, s);
    const last = run.path.at(-1).map((v, i) => clamp(v, [surface.xlim, surface.ylim][i]));
    shown = { surface, run, last };
    if (map.clientWidth) paint(surface, run, last);   // on the page already
    report();
  }

  // mouse, finger or pen: the first one that touches moves the start, until it is lifted
  let pointer = null;
  const move = (x, y) => change({ start: [clamp(x, here().xlim), clamp(y, here().ylim)] });
  const place = e => {
    const r = map.getBoundingClientRect(), b = boxOf(map), { xlim, ylim } = here();
    move(xlim[0] + (e.clientX - r.left - b.x) / b.width * (xlim[1] - xlim[0]),
         ylim[1] - (e.clientY - r.top - b.y) / b.height * (ylim[1] - ylim[0]));
  };
  map.addEventListener("pointerdown", e => {
    if (pointer !== null || e.button !== 0) return;
    pointer = e.pointerId;
    map.setPointerCapture(pointer);
    place(e);
  });
  map.addEventListener("pointermove", e => { if (e.pointerId === pointer) place(e); });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    map.addEventListener(end, e => { if (e.pointerId === pointer) pointer = null; });
  map.addEventListener("keydown", e => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0],
                  ArrowDown: [0, -1], ArrowUp: [0, 1] }[e.key];
    if (!way || e.ctrlKey || e.altKey || e.metaKey) return;
    e.preventDefault();
    const part = e.shiftKey ? 400 : 40, { xlim, ylim } = here();
    move(s.start[0] + way[0] * (xlim[1] - xlim[0]) / part,
         s.start[1] + way[1] * (ylim[1] - ylim[0]) / part);
  });
  reset.addEventListener("click", () => {
    kept = {};
    change(structuredClone(model.get("_reset")));
  });
  for (const t of TRAITS)   // from Python, or from another view
    model.on(`change:${t}`, () => { if (!post.busy()) { s = read(); show(); } });

  const sizes = new ResizeObserver(show), themes = new MutationObserver(show);
  sizes.observe(map);
  themes.observe(document.body, { attributes: true });
  show();
  return () => { post.stop(); sizes.disconnect(); themes.disconnect(); };
}

export default { render };
