// A canvas to draw on (pen.js), and digits to choose from. If Python sent the model along, as for a
// stack of layers (_net, see digit.js), the page answers to drawings; if not, Python does.
// From Python: _twin, _names, _samples (the answers to the digits to choose from, known
// beforehand) and _answer {sample, words, rows, seen, seen_alt, spoke, spoke_alt, and with more than
// two names bars: [name, probability] of each}; both ways, one of the two:
// strokes (each a list of [x, y], from 0 to 1) and sample (a number or null).

const SEND_EVERY = 100;   // ms: at most ten drawings a second go to the kernel
const PATIENCE = 2000;    // ms until a reader is told that Python does not answer

function render({ model, el }) {
  const samples = model.get("_samples"), names = model.get("_names");
  let net = netOf(model.get("_net") ?? {});
  const group = `sgd-${Math.random()}`;   // each sheet's radio buttons are a group of their own
  const invitation = names.length > 2 ? "Draw a digit" : `Draw a ${names[0]} or a ${names[1]}`;
  let strokes = model.get("strokes"), sample = model.get("sample"), past = [];
  let alone = false, saved = false;   // does Python not answer; is there none behind this page?

  const canvas = make("canvas", { role: "img" });
  const hint = make("span", { textContent: `${invitation} here` });
  const undo = control("button", { type: "button", textContent: "Undo" });
  const clear = control("button", { type: "button", textContent: "Clear" });
  const words = make("strong"), note = make("span");
  const picture = textContent => {
    const image = make("img", { alt: "" });
    const text = make("figcaption", { textContent });
    return { image, text, figure: make("figure", {}, image, text) };
  };
  const seen = picture(""), spoke = picture("which of its pixels counted");
  const rows = make("tbody"), bars = make("tbody");
  const answer = make("div", { className: "sgd-answer" }, seen.figure, spoke.figure,
                      make("table", { className: "sgd-bars" }, bars), make("table", {}, rows));
  const radios = samples.map((s, k) => {
    const radio = control("input", { type: "radio", name: group });
    radio.addEventListener("change", () => act([], k));
    return radio;
  });
  const choice = make("fieldset", { className: "sgd-digits" },
    make("legend", { textContent: "Or choose a real digit, from clear to hard for this model" }),
    ...radios.map((radio, k) => make("label", {}, radio,
      make("img", { src: samples[k].seen, alt: samples[k].name, title: samples[k].name }))));
  live(el, model);
  el.classList.add("sgd-draw");
  el.append(
    make("div", { className: "sgd-paper" }, canvas, hint,
         make("div", { className: "sgd-buttons" }, undo, clear)),
    make("div", { className: "sgd-says" },
         make("div", { ariaLive: "polite" }, words, note), answer),
    choice);

  // To Python, at most ten times a second, and always the last. It answers what is new to it: a
  // pen that rests, or Clear on empty paper, must not wait for a reply.
  let timer = 0, again = false, patience = 0, sending = false;
  const now = () => JSON.stringify([strokes, sample]);
  let known = now();
  const send = () => {
    if (timer) { again = true; return; }
    if (now() === known) return;
    known = now();
    sending = true;   // what we set ourselves is no news
    model.set("strokes", strokes.map(s => [...s]));
    model.set("sample", sample);
    sending = false;
    try { model.save_changes(); } catch (e) { console.warn("draw: no kernel", e); }
    if (!saved) patience ||= setTimeout(() => { alone = true; show(); }, PATIENCE);
    timer = setTimeout(() => { timer = 0; if (again) { again = false; send(); } }, SEND_EVERY);
  };
  const changed = () => { paint(); show(); send(); };
  const act = (newStrokes, newSample) => {
    past.push([strokes, sample]);
    [strokes, sample] = [newStrokes, newSample];
    changed();
  };

  const paint = () => paintStrokes(canvas, strokes);

  function show() {
    const last = model.get("_answer"), drawn = strokes.length > 0;
    let m = last.sample === sample ? last : {};
    if (sample !== null) m = m.words ? m : model.get("_samples")[sample];
    else if (net && drawn) m = messageOf(net, names, strokes);
    else if (!drawn || alone || saved) m = {};
    const say = m.words
      ?? (saved && !net ? "Choose a digit below." : !drawn ? `${invitation}, or choose one below.`
          : alone ? "No answer" : "...");
    if (say !== words.textContent) words.textContent = say;   // what is new is read aloud
    answer.classList.toggle("sgd-empty", !m.seen);
    for (const [{ image, figure }, name] of [[seen, "seen"], [spoke, "spoke"]]) {
      figure.hidden = !m[name] && !!m.seen;
      if (m[name]) Object.assign(image, { src: m[name], alt: m[`${name}_alt`] });
    }
    seen.text.textContent = `${m.name}, as the model sees it`;
    rows.replaceChildren(...(m.rows ?? []).map(([name, value]) => make("tr", {},
      make("th", { scope: "row", textContent: name }), make("td", { textContent: value }))));
    bars.replaceChildren(...(m.bars ?? []).map(([name, p]) => {
      const value = make("td", { textContent: p.toFixed(2) });
      value.style.setProperty("--p", `${100 * p}%`);
      return make("tr", {}, make("th", { scope: "row", textContent: name }), value);
    }));
    const dot = m.dot ? "A dot, enlarged to the size of a digit. " : "";
    note.textContent = dot + (drawn && net && saved
      ? "Answered in this page, with the weights that were saved with it."
      : drawn && net && alone
      ? "Python is busy, or was stopped: answered in this page, with the weights it sent last."
      : drawn && saved
      ? "Python reads the drawings, and there is none behind this page. "
        + "Open the notebook in Jupyter to draw; the digits below answer here."
      : drawn && alone
      ? "Python is busy, or was stopped (then run this cell again). "
        + "The digits below answer without it."
      : m.seen && !m.spoke ? "This model has no gradient: its pixels cannot be told apart." : "");
    radios.forEach((radio, k) => { radio.checked = k === sample; });
    hint.hidden = drawn;
    canvas.ariaLabel = drawn ? `Your drawing, strokes: ${strokes.length}` : "Empty canvas";
  }

  penOn(canvas, stroke => act([...strokes, stroke], null), () => {
    paint();
    if (net) show();
    send();
  });

  undo.addEventListener("click", () => {
    [strokes, sample] = past.pop() ?? [strokes.slice(0, -1), null];
    changed();
  });
  clear.addEventListener("click", () => act([], null));
  model.on("change:_answer", () => {
    clearTimeout(patience);
    [patience, alone] = [0, false];
    show();
  });
  model.on("change:_net", () => { net = netOf(model.get("_net")); show(); });
  for (const name of ["strokes", "sample"])
    model.on(`change:${name}`, () => {   // from Python, or from another view of this sheet
      if (sending) return;
      [strokes, sample] = [model.get("strokes"), model.get("sample")];
      known = now();
      paint();
      show();
    });
  paint();
  show();
  isAlive(model).then(alive => { saved = !alive; show(); });
  return () => { clearTimeout(timer); clearTimeout(patience); };
}

export default { render };
