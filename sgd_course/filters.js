// A digit to draw or to choose, the filters of a model's first convolution, and what each of them
// sees of that digit: computed in the page, with digit.js, pen.js and convolve.js. From Python:
// _net (see convolve.js), _samples (each {name, pixels: float32 in base64}) and _twin. Both ways,
// to Python at most ten times a second, one of the two: strokes, and sample (a number or null).

function render({ model, el }) {
  const layers = layersOf(model.get("_net"));
  const samples = model.get("_samples").map(
    ({ name, pixels }) => ({ name, x: Float64Array.from(numbersOf(pixels)) }));
  const state = { strokes: model.get("strokes"), sample: model.get("sample") };
  const post = courier(model, ["strokes", "sample"], trait => structuredClone(state[trait]));
  const group = `sgd-${Math.random()}`;

  const canvas = make("canvas", { role: "img" });
  const hint = make("span", { textContent: "Draw a digit here" });
  const clear = control("button", { type: "button", textContent: "Clear" });
  const words = make("strong"), seen = make("img");
  const radios = samples.map((s, k) => {
    const radio = control("input", { type: "radio", name: group });
    radio.addEventListener("change", () => change({ strokes: [], sample: k }));
    return radio;
  });
  const choice = make("fieldset", { className: "sgd-digits" },
    make("legend", { textContent: "Or choose a real digit" }),
    ...radios.map((radio, k) => make("label", {}, radio, make("img", {
      src: imageOf(samples[k].x, GREYS, 0, 1), alt: samples[k].name }))));
  const { w, size } = layers.find(({ kind }) => kind === "conv");
  const tiles = w.map((filter, f) => {
    const most = Math.max(...filter.map(Math.abs)) || 1, map = make("img");
    const image = make("img", { src: imageOf(filter, RED_BLUE, -most, most, size),
                                alt: `Filter ${f + 1}, ${size} by ${size} weights` });
    return { map, figure: make("figure", {}, image, map,
                               make("figcaption", { textContent: `filter ${f + 1}` })) };
  });
  live(el, model);
  el.classList.add("sgd-filters");
  el.append(
    make("div", {}, make("div", { className: "sgd-paper" }, canvas, hint,
                         make("div", { className: "sgd-buttons" }, clear)), choice),
    make("div", { className: "sgd-sees" }, make("div", { ariaLive: "polite" }, words),
      make("p", { textContent: "Left, a filter: blue weights look for ink, red ones for paper. "
        + "Right, its feature map: black is the strongest response of any filter to this digit. "
        + "Compare the maps with each other, not with those of another digit." }),
      make("div", { className: "sgd-maps" },
           make("figure", {}, seen, make("figcaption", { textContent: "the digit" })),
           ...tiles.map(({ figure }) => figure))));

  function show() {
    const { strokes, sample } = state, drawn = strokes.length > 0;
    const x = drawn ? toMnist(inkOf(strokes)) : samples[sample]?.x ?? new Float64Array(784);
    const name = drawn ? "Your drawing" : samples[sample]?.name ?? "Empty paper";
    const found = mapsOf(layers, x), { side } = found;
    const most = Math.max(...found.maps.map(map => Math.max(...map))) || 1;
    paintStrokes(canvas, strokes);
    hint.hidden = drawn;
    canvas.ariaLabel = drawn ? `Your drawing, strokes: ${strokes.length}` : "Empty canvas";
    radios.forEach((radio, k) => { radio.checked = k === sample; });
    Object.assign(seen, { src: imageOf(x, GREYS, 0, 1), alt: `${name}, 28 by 28 pixels` });
    tiles.forEach(({ map }, f) => {
      const active = found.maps[f].filter(v => v > 0).length;
      Object.assign(map, {
        src: imageOf(found.maps[f], GREYS, 0, most, side),
        alt: !active ? `Filter ${f + 1} sees nothing` : `What filter ${f + 1} sees: most at the `
          + `${placeOf(found.maps[f], side)}; active at ${active} of ${side ** 2} places`,
      });
    });
    write(words, tellMaps(found, name));
  }
  const change = news => { Object.assign(state, news); show(); post.send(); };

  penOn(canvas, stroke => change({ strokes: [...state.strokes, stroke], sample: null }),
        () => change({}));
  clear.addEventListener("click", () => change({ strokes: [], sample: null }));
  for (const t of ["strokes", "sample"])   // from Python, or from another view
    model.on(`change:${t}`, () => {
      if (post.busy()) return;
      Object.assign(state, { strokes: model.get("strokes"), sample: model.get("sample") });
      show();
    });
  show();
  return () => post.stop();
}

export default { render };
