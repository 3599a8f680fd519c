// A flipbook: a native slider picks one of the pictures that Python drew, without a kernel.
// From Python: _names, _values and _texts (a list a slider), _start (where Reset goes), _note,
// _twin, and pictures {png, alt, width, words, rows} or {error}: _f0, _f1, ... (last slider
// fastest), and _now {k, ...}. To Python: the values, and _seen.

const SEND_EVERY = 100;   // ms: at most ten updates a second go to the kernel
const RUN = 6000;         // ms that Play takes from one end to the other ...
const STAY = [40, 400];   // ... but at least and at most so long at one position

function render({ model, el }) {
  const names = model.get("_names"), values = model.get("_values"), texts = model.get("_texts");
  const labels = names.map(n => n.replaceAll("_", " "));
  const sizes = values.map(v => v.length), total = sizes.reduce((a, b) => a * b);
  const index = at => at.reduce((k, i, a) => k * sizes[a] + i, 0);
  const split = k => sizes.length === 1 ? [k] : [Math.floor(k / sizes[1]), k % sizes[1]];
  const say = k => split(k).map((i, a) => `${labels[a]} = ${texts[a][i]}`).join(", ");
  const current = () => names.map((n, a) => Math.max(0, values[a].indexOf(model.get(n))));

  // the pictures that have arrived, as addresses that the browser has already loaded
  const pictures = new Map();
  let at = current(), now = null;
  const drop = k => { URL.revokeObjectURL(pictures.get(k)?.url); pictures.delete(k); };
  const add = (k, frame) => {
    if (!frame || pictures.has(k)) return;
    const p = { ...frame };
    if (frame.png) {
      p.url = URL.createObjectURL(new Blob([frame.png], { type: "image/png" }));
      p.loaded = new Image();
      p.loaded.src = p.url;
    }
    pictures.set(k, p);
  };
  const addNow = () => {
    const frame = model.get("_now");
    if (frame?.k === undefined || pictures.has(frame.k)) return;
    if (now !== null) drop(now);
    add(now = frame.k, frame);
  };
  const nearest = (want, kept) => {   // `kept`: the slider that stays where it is if it can
    let best = null, least = Infinity;
    for (const k of pictures.keys()) {
      const far = split(k).reduce(
        (d, i, a) => d + Math.abs(i - want[a]) * (a === kept ? total : 1), 0);
      if (far < least) [best, least] = [k, far];
    }
    return best;
  };

  // The model is set only when it is sent: ipywidgets' echo of an earlier value would overwrite it.
  let timer = 0, unsent = false;
  const send = () => {
    unsent = true;
    if (timer) return;
    names.forEach((n, a) => model.set(n, values[a][at[a]]));
    unsent = false;
    try { model.save_changes(); } catch (e) { console.warn("explore: no kernel", e); }
    timer = setTimeout(() => { timer = 0; if (unsent) send(); }, SEND_EVERY);
  };
  // Where a slider stops: everywhere, but in a page without Python only where there are pictures
  let stops = sizes.map(n => [...Array(n).keys()]), alone = false;
  const go = (a, i, words = "") => {
    const before = index(at);
    at[a] = i;
    if (alone) at = split(nearest(at, a));
    said.textContent = words;
    show();
    if (index(at) !== before) send();
  };
  const step = (a, by) =>
    go(a, stops[a][Math.min(stops[a].length - 1, Math.max(0, stops[a].indexOf(at[a]) + by))]);
  const offerWhatIsThere = () => {
    if (pictures.size === total || !pictures.size) return;
    alone = true;
    const there = [...pictures.keys()].map(split);
    stops = sizes.map((_, a) => [...new Set(there.map(p => p[a]))].sort((i, j) => i - j));
    rows.forEach(({ element, range }, a) => {
      range.max = stops[a].length - 1;
      element.hidden = stops[a].length < 2;
    });
    at = split(nearest(at));
    show();
  };

  const image = make("img", { decoding: "sync", draggable: false });
  const words = make("div", { className: "sgd-words" }), table = make("table");
  const error = make("pre", { hidden: true });
  const value = make("strong"), note = make("span"), warning = make("div");
  const said = make("span", { role: "status" });
  const reset = control("button", { type: "button", textContent: "Reset" });
  const rows = names.map((name, a) => row(a));
  live(el, model);
  el.classList.add("sgd-explore");
  const status = make("div", { className: "sgd-status" }, value, note, said, reset);
  el.append(...rows.map(r => r.element), status, warning, image, words, table, error);

  function row(a) {
    const range = control("input", { type: "range", min: 0, max: sizes[a] - 1, step: 1 });
    const play = control("button", { type: "button" });
    const element = make("div", { className: "sgd-row", hidden: sizes[a] < 2 },
                         make("label", {}, make("span", { textContent: labels[a] }), range));
    range.addEventListener("input", () => { stop(); go(a, stops[a][+range.value]); });
    const number = typeof values[a][0] === "number"
      && control("input", { type: "number", step: "any" });
    if (number) {
      number.ariaLabel = `${labels[a]}, as a number`;
      const take = () => {
        const typed = number.valueAsNumber, far = i => Math.abs(values[a][i] - typed);
        if (typed === +texts[a][at[a]]) return;   // Enter, and then the box is left
        if (Number.isNaN(typed)) said.textContent = "That is no number.";
        else {
          const i = stops[a].reduce((best, i) => far(i) < far(best) ? i : best);
          const text = texts[a][i];
          go(a, i, typed === +text ? "" : `${typed} is between positions; the nearest is ${text}.`);
        }
        number.value = texts[a][at[a]];
      };
      number.addEventListener("change", () => { stop(); take(); });
      number.addEventListener("keydown", e => {   // one position on, whatever the values are
        const by = { ArrowUp: 1, ArrowDown: -1 }[e.key];
        if (e.key === "Enter") take();
        if (!by) return;
        e.preventDefault();
        stop();
        step(a, by);
        number.value = texts[a][at[a]];
      });
      element.append(number);
    }
    let clock = 0;
    const name = what => { play.textContent = what; play.ariaLabel = `${what} ${labels[a]}`; };
    const stop = () => { clearInterval(clock); clock = 0; name("Play"); };
    play.addEventListener("click", () => {
      if (clock) return stop();
      const atEnd = () => at[a] === stops[a].at(-1);
      if (atEnd()) go(a, stops[a][0]);
      clock = setInterval(() => { step(a, 1); if (atEnd()) stop(); },
                          Math.min(STAY[1], Math.max(STAY[0], RUN / stops[a].length)));
      name("Pause");
    });
    element.append(play);
    stop();
    return { element, range, number, stop };
  }

  // the cells stay, unless there are more or fewer of them, since a new table takes 3 ms
  let cells = [], shape = "";
  function fill(lines) {
    if (shape !== (shape = String(lines.map(line => line.length)))) {
      table.replaceChildren(...lines.map((line, i) => make("tr", {}, ...line.map(
        () => i ? make("td") : make("th", { scope: "col" })))));
      cells = [...table.querySelectorAll("th, td")];
    }
    lines.flat().forEach((text, i) => {
      if (cells[i].textContent !== text) cells[i].textContent = text;
    });
  }

  function show() {
    const want = index(at), k = pictures.has(want) ? want : nearest(at), p = pictures.get(k);
    rows.forEach(({ range, number }, a) => {
      range.value = alone ? stops[a].indexOf(at[a]) : at[a];
      range.setAttribute("aria-valuetext", texts[a][at[a]]);
      if (number && document.activeElement !== number) number.value = texts[a][at[a]];
    });
    image.hidden = !p?.url;
    error.hidden = !p?.error;
    error.textContent = p?.error ?? "";
    if (p?.url && image.src !== p.url)
      Object.assign(image, { src: p.url, alt: p.alt, width: p.width });
    words.textContent = p?.words ?? "";
    fill(p?.rows ?? []);
    image.classList.toggle("sgd-waiting", k !== want);
    value.textContent = say(want);
    warning.textContent = alone ? "" : model.get("_note");
    const missing = !warning.textContent && pictures.size < total;
    note.textContent = [
      k !== want && k !== null && `not drawn yet, this is ${say(k)}`,
      missing && `${pictures.size} of ${total} ${alone ? "positions are saved here" : "drawn"}`,
    ].filter(Boolean).join("; ");
  }

  reset.addEventListener("click", () => {
    rows.forEach((r, a) => { r.stop(); go(a, model.get("_start")[a]); });
  });
  for (let k = 0; k < total && model.get(`_f${k}`) !== undefined; k++) {
    add(k, model.get(`_f${k}`));
    if (!pictures.has(k)) model.on(`change:_f${k}`, () => { add(k, model.get(`_f${k}`)); show(); });
  }
  addNow();
  model.on("change:_now", () => { addNow(); show(); });
  model.on("change:_note", show);
  names.forEach(n => model.on(`change:${n}`, () => { if (!unsent) { at = current(); show(); } }));
  show();
  isAlive(model).then(alive => {
    if (!alive) return offerWhatIsThere();
    model.set("_seen", true);   // where Python has waited for somebody who looks
    model.save_changes();
  });
  return () => {
    rows.forEach(r => r.stop());
    [...pictures.keys()].forEach(drop);
  };
}

export default { render };
