// A hidden layer to be set up by hand and then trained, all of it in the page, with network.js,
// chart.js and plane.js. From Python: _x and _y (points and labels), _reach (the plane is from
// -reach to reach), _most (units), _twin and _reset (where Reset goes). Both ways, to Python at
// most ten times a second: w, b, v, c (the network), unit (the selected one, from 1), lr and steps.

const TRAITS = ["w", "b", "v", "c", "unit", "lr", "steps"];
const MOST_STEPS = 5000;   // of one training
const LRS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

function render({ model, el }) {
  const data = { x: model.get("_x"), y: model.get("_y") }, reach = model.get("_reach");
  const read = () => structuredClone(Object.fromEntries(TRAITS.map(t => [t, model.get(t)])));
  const post = courier(model, TRAITS, trait => structuredClone(s[trait]));
  const group = `sgd-${Math.random()}`;
  let s = read(), now = measure(s, data), losses = [now.loss], middles = [];
  let papers = null, drawn = "", running = 0, warning = "";

  const map = control("canvas", { tabIndex: 0, className: "sgd-map" });
  map.setAttribute("role", "application");
  map.setAttribute("aria-roledescription", "plane of points, with a line for each hidden unit");
  const [profile, curve] = ["sgd-profile", "sgd-curve"].map(
    className => make("canvas", { className }));
  for (const canvas of [profile, curve]) canvas.setAttribute("role", "img");
  const words = make("strong"), said = make("div", { ariaLive: "polite" }, words);
  const button = (textContent, act) => {
    const b = control("button", { type: "button", textContent });
    b.addEventListener("click", act);
    return b;
  };

  // what a hand changes begins anew: no steps have been taken from there
  const renew = () => { now = measure(s, data); losses = [now.loss]; show(); };
  const byHand = news => {
    pause();
    Object.assign(s, news, { steps: 0 });
    renew();
    post.send();
  };
  const select = i => { s.unit = i + 1; show(); post.send(); };
  const here = () => s.unit - 1;
  const replaced = (list, i, v) => list.map((old, k) => k === i ? v : old);
  const setUnit = (i, { w, b }) =>
    byHand({ unit: i + 1, w: replaced(s.w, i, w), b: replaced(s.b, i, b) });
  const setHand = news => setUnit(here(), unitOf({ ...handOf(s.w[here()], s.b[here()]), ...news }));

  const slider = (name, [min, max, step], valueOf, act, text = short) => {
    const range = control("input", { type: "range", min, max, step });
    const value = make("output");
    range.addEventListener("input", () => act(+range.value));
    const update = () => {
      const v = valueOf();
      range.value = v;
      write(value, text(v));
      range.setAttribute("aria-valuetext", value.textContent);
    };
    return { row: make("label", {}, make("span", { textContent: name }), range, value), update };
  };
  const hand = () => handOf(s.w[here()], s.b[here()]);
  const ofUnit = [
    slider("direction", [0, 359, 1], () => hand().turn, turn => setHand({ turn }),
           v => `${short(+v.toFixed(1))}°`),
    slider("slope", [0.1, 10, 0.1], () => hand().slope, slope => setHand({ slope }), two),
    slider("shift", [-reach, reach, reach / 100], () => hand().place,
           place => setHand({ place }), two),
    slider("output weight", [-10, 10, 0.1], () => s.v[here()],
           v => byHand({ v: replaced(s.v, here(), v) }), two)];
  const ofAll = [
    slider("output bias", [-10, 10, 0.1], () => s.c, c => byHand({ c }), two),
    slider("learning rate", [0, LRS.length - 1, 1],
           () => LRS.reduce((best, v, k) =>
             Math.abs(v - s.lr) < Math.abs(LRS[best] - s.lr) ? k : best, 0),
           k => { s.lr = LRS[k]; show(); post.send(); }, () => short(s.lr))];
  const legend = make("legend"), list = make("fieldset", {}, make("legend",
    { textContent: "unit" }));
  const add = button("Add a unit", () => byHand({
    w: [...s.w, unitOf({ slope: 1, turn: 90 + 137.5 * s.w.length, place: 0 }).w],
    b: [...s.b, 0], v: [...s.v, -1], unit: s.w.length + 1 }));
  const remove = button("", () => {
    const i = here(), rest = values => s.w.map((_, k) => values[k]).filter((_, k) => k !== i);
    middles = rest(middles);
    byHand({ w: rest(s.w), b: rest(s.b), v: rest(s.v), unit: Math.max(1, i) });
  });
  const train = button("Train", () => running ? pause() : begin());
  const one = button("One step", () => { pause(); take(); });
  const reset = button("Reset", () => {
    middles = [];
    byHand(structuredClone(model.get("_reset")));
  });
  live(el, model);
  el.classList.add("sgd-unit");
  el.append(
    make("div", { className: "sgd-choice" }, list, add, remove),
    make("div", { className: "sgd-verdict" }, said,
         make("div", { className: "sgd-acts" }, train, one, reset)),
    make("div", { className: "sgd-views" },
      make("figure", {}, map, make("figcaption", { textContent:
        "Let the blue area hold the blue dots, and none of the squares. A thin line is a unit's "
        + "kink: drag it to shift it, drag its number to turn it, farther out for a steeper slope. "
        + "On the number's side the unit is active, on the other it is 0. (Or focus the plane: "
        + "\u2191 \u2193 shift, \u2190 \u2192 turn, with Shift less, + \u2212 slope, 1, 2, ... "
        + "select.) The thick line is the decision boundary, where the score is 0; a ring marks a "
        + "point that is wrong." })),
      make("div", {},
        make("fieldset", { className: "sgd-sliders" }, legend, ...ofUnit.map(r => r.row)), profile,
        make("div", { className: "sgd-sliders" }, ...ofAll.map(r => r.row)), curve)));

  let radios = [];
  function fillList() {
    if (radios.length === s.w.length) return;
    radios.forEach(radio => radio.parentNode.remove());
    radios = s.w.map((_, i) => {
      const radio = control("input", { type: "radio", name: group, value: i + 1 });
      radio.addEventListener("change", () => select(i));
      list.append(make("label", {}, radio, make("span", { textContent: i + 1 })));
      return radio;
    });
  }

  const handles = frame => handlesOf(s, middles, frame, reach);
  function paint() {   // reads sizes: before anything is written
    if (!map.clientWidth) return;   // not on the page yet
    const tones = tonesOf(el), frame = frameOf(map, reach);
    const key = [tones.ink, map.clientWidth, map.clientHeight, devicePixelRatio].join();
    if (key !== drawn) [drawn, papers] = [key, papersOf(map, data, frame, tones.ink)];
    paintPlane(map, papers, s, data, reach, handles(frame), here(), tones);
    paintProfile(profile, s, here(), data, reach, tones);
    if (losses.length > 1) paintCurve(curve, { losses }, tones);
  }
  function show() { paint(); report(); }
  const report = afterPicture(() => {
    fillList();
    radios.forEach((radio, i) => { radio.checked = i === here(); });
    write(legend, `Unit ${s.unit}`);
    write(remove, `Remove unit ${s.unit}`);
    allow(remove, s.w.length > 1, add);
    allow(add, s.w.length < model.get("_most"), remove);
    for (const { update } of [...ofUnit, ...ofAll]) update();
    const after = s.steps ? `After ${s.steps} step${s.steps === 1 ? "" : "s"}, ` : "";
    write(words, warning || after + tell(s, data, now, here()));
    warning = "";
    curve.classList.toggle("sgd-nothing", losses.length < 2);
    const kink = tellKink(hand(), s.v[here()]);
    map.ariaLabel = `${data.y.length} points of two labels, and the kinks of ${s.w.length} units. `
      + `Unit ${s.unit}: ${kink}. ${words.textContent} Up and down shift the unit, left and right `
      + "turn it, with Shift less; plus and minus change its slope; a digit selects a unit.";
    profile.ariaLabel = `Response of unit ${s.unit}: 0 up to its kink, then it rises; ${kink}`;
    curve.ariaLabel = `Loss at each step, from ${short(losses[0])} to ${short(losses.at(-1))}`;
  });

  // training: one step for each picture; nothing is read aloud until it pauses
  function take() {
    const next = stepOf(s, now.grad, s.lr), found = measure(next, data);
    if (!Number.isFinite(found.loss)) {
      warning = "The next step would lead beyond all numbers: lower the learning rate.";
      pause();
      return show();
    }
    Object.assign(s, next, { steps: s.steps + 1 });
    losses.push((now = found).loss);
    show();
    post.send();
  }
  function begin() {
    said.ariaLive = "off";
    train.textContent = "Pause";
    const most = s.steps + MOST_STEPS, tick = () => {
      take();
      if (running) running = requestAnimationFrame(tick);
      if (s.steps === most) pause();
    };
    running = requestAnimationFrame(tick);
  }
  function pause() {
    if (!running) return;
    cancelAnimationFrame(running);
    running = 0;
    said.ariaLive = "polite";
    train.textContent = "Train";
    words.textContent = "";   // so that it is read now
    show();
  }

  // mouse, finger or pen: the first one that touches takes hold of what is nearest
  let held = null;
  map.addEventListener("pointerdown", e => {
    if (held || e.button !== 0) return;
    const frame = frameOf(map, reach), r = map.getBoundingClientRect();
    const point = [e.clientX - r.left, e.clientY - r.top], wide = e.pointerType === "mouse" ? 1 : 2;
    const all = handles(frame), found = grabbed(all, point, wide, here());
    if (!found) return;
    const { i, turn } = found;
    const [wx, wy] = s.w[i], [u, v] = frame.back(...point);
    held = { id: e.pointerId, i, turn, ...all[i], off: wx * u + wy * v + s.b[i] };
    middles[i] = all[i].at;
    map.setPointerCapture(e.pointerId);
    map.focus({ preventScroll: true });
    e.preventDefault();
    select(i);
  });
  map.addEventListener("pointermove", e => {
    if (e.pointerId !== held?.id) return;
    const frame = frameOf(map, reach), r = map.getBoundingClientRect(), { i, at: middle } = held;
    const there = frame.back(e.clientX - r.left, e.clientY - r.top);
    if (!held.turn) {
      const at = there.map(v => Math.min(0.98 * reach, Math.max(-0.98 * reach, v)));
      middles[i] = at;
      return setUnit(i, { w: s.w[i], b: held.off - s.w[i][0] * at[0] - s.w[i][1] * at[1] });
    }
    const way = there.map((v, k) => v - middle[k]), size = Math.hypot(...way);
    if (!size) return;
    const w = way.map(v => v / size * slopeOf(frame, size * frame.k * held.scale));
    setUnit(i, { w, b: -w[0] * middle[0] - w[1] * middle[1] });
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    map.addEventListener(end, e => { if (e.pointerId === held?.id) held = null; });
  map.addEventListener("keydown", e => {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    const part = e.shiftKey ? 0.2 : 1, { turn, slope, place } = hand();
    const moves = {
      ArrowUp: () => setHand({ place: Math.min(reach, place + part * reach / 20) }),
      ArrowDown: () => setHand({ place: Math.max(-reach, place - part * reach / 20) }),
      ArrowLeft: () => setHand({ turn: turn + 5 * part }),
      ArrowRight: () => setHand({ turn: turn - 5 * part }),
      "+": () => setHand({ slope: slope + 0.1 }),
      "-": () => setHand({ slope: Math.max(0.1, slope - 0.1) }),
      ...Object.fromEntries(s.w.map((_, i) => [i + 1, () => select(i)])) };
    const act = moves[e.key === "=" ? "+" : e.key];
    if (!act) return;
    e.preventDefault();
    act();
  });

  for (const t of TRAITS)   // from Python, or from another view
    model.on(`change:${t}`, () => {
      if (!post.busy()) { pause(); s = read(); renew(); }
    });
  const sizes = new ResizeObserver(show), themes = new MutationObserver(show);
  sizes.observe(map);
  themes.observe(document.body, { attributes: true });
  show();
  return () => {
    cancelAnimationFrame(running);
    post.stop();
    sizes.disconnect();
    themes.disconnect();
  };
}

export default { render };
