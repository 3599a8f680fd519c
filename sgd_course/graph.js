// A computation graph whose inputs can be moved and whose two passes can be stepped through, with
// backprop.js and layout.js. From Python: _nodes (as in backprop.js, and `fn`, PyTorch's name),
// _start (an input's name: its value), _said (values and grads that PyTorch found there), _twin.
// Both ways, to Python at most ten times a second: a trait for each input.

const svg = (tag, attributes = {}, ...children) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  e.append(...children);
  return e;
};
const LINE = 18, TALL = 3 * LINE + 10, CHAR = 7.3;   // pixels

const paperOf = el => {   // its colour
  const colour = el && getComputedStyle(el).backgroundColor;
  return !el ? "white" : colour === "rgba(0, 0, 0, 0)" ? paperOf(el.parentElement) : colour;
};

// How far a slider goes to each side of 0, and its step
const scaleOf = start => {
  const wanted = Math.max(2, 1.5 * Math.abs(start)), ten = 10 ** Math.floor(Math.log10(wanted));
  const reach = [1, 2, 5, 10].map(k => k * ten).find(r => r >= wanted * 0.999);
  return [reach, +(ten * (reach < 2 * ten ? 0.01 : reach < 5 * ten ? 0.05 : 0.1)).toPrecision(3)];
};

function render({ model, el }) {
  const nodes = model.get("_nodes"), start = model.get("_start"), said = model.get("_said");
  const leaves = nodes.filter(n => !n.op).map(n => n.name), steps = stepsOf(nodes);
  const last = steps.length - 1, group = `sgd-${Math.random().toString(36).slice(2)}`;
  const read = () => Object.fromEntries(leaves.map(name => [name, [model.get(name)].flat()]));
  let inputs = read(), at = 0, across = null;
  const unlisted = name => Array.isArray(start[name]) ? [...inputs[name]] : inputs[name][0];
  const post = courier(model, leaves, unlisted);
  const change = (name, k, value) => {
    inputs[name] = inputs[name].map((v, i) => i === k ? value : v);
    show();
    post.send();
  };
  const go = step => { at = step; show(); };

  // when a value, a gradient and what goes along a line are seen
  const first = (kind, k) => steps.findIndex(s => s.kind === kind && s.at === k);
  const users = k => nodes.flatMap((n, to) => (n.operands ?? []).flatMap(o => o === k ? [to] : []));
  const valueAt = nodes.map((n, k) => n.op ? first("forward", k) : 0);
  const gradAt = nodes.map((_, k) => k === nodes.length - 1 ? first("begin", k)
    : users(k).length > 1 ? first("meet", k) : first("backward", users(k)[0]));

  // texts are set only when they change
  const put = (text, now) => { if (text.data !== now) text.data = now; };
  const words = new Text(), count = new Text(), note = make("p");
  const most = Math.max(...said.values.map(list => list.length));
  const room = most > 1 ? 8 * most : 9;   // characters of a value
  const width = CHAR * Math.max(room + 10, ...nodes.map((_, k) => titleOf(nodes, k).length + 2));
  const boxes = nodes.map((n, k) => {
    const row = (y, name, text) => [
      svg("text", { x: 8, y, class: "sgd-name" }, name),
      svg("text", { x: width - 8, y, "text-anchor": "end", class: `sgd-${name}` }, text)];
    const value = new Text(), grad = new Text();
    const g = svg("g", { class: n.op ? "sgd-node" : "sgd-node sgd-leaf" },
      svg("rect", { width, height: TALL, rx: 6 }),
      svg("text", { x: width / 2, y: LINE - 2, "text-anchor": "middle", class: "sgd-title" },
          titleOf(nodes, k)),
      ...row(2 * LINE, "value", value), ...row(3 * LINE + 1, "gradient", grad));
    return { g, value, grad };
  });
  const lines = nodes.flatMap((n, to) => (n.operands ?? []).flatMap((from, place) => {
    if (!isNode(from)) return [];
    const path = svg("path");
    const texts = [new Text(), new Text()], labels = texts.map((t, i) =>
      svg("text", { class: i ? "sgd-gradient" : "sgd-slope" }, t));
    return [{ from, to, place, seenAt: first("backward", to), path, texts, labels,
              g: svg("g", { class: "sgd-line" }, path, ...labels) }];
  }));
  const arrow = svg("marker", { id: group, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 9,
    markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
    svg("path", { d: "M0 0L8 4L0 8z" }));
  const picture = svg("svg", { role: "img" }, svg("defs", {}, arrow), ...lines.map(l => l.g),
                      ...boxes.map(b => b.g));
  const paper = control("div", { className: "sgd-paper" });
  paper.append(picture);

  // from left to right if there is room for that, else from top to bottom
  function arrange() {
    const space = paper.clientWidth;
    if (!space) return;
    picture.style.setProperty("--sgd-paper", paperOf(el));
    const gap = CHAR * (room + 2);
    let lie = layout(nodes, { along: width, across: TALL, gap, aside: 30, pass: 24 });
    const now = lie.length + 2 <= space;
    if (now === across) return scrollable();
    across = now;
    if (!across) lie = layout(nodes, { along: TALL, across: width, gap: 56, aside: 24,
                                       pass: gap / 2 });
    const turn = ([a, b]) => (across ? [a, b] : [b, a]).map(v => +(v + 1).toFixed(1));
    lie.boxes.forEach(([a, middle], k) => {
      const corner = turn([a, middle - (across ? TALL : width) / 2]);
      boxes[k].g.setAttribute("transform", `translate(${corner})`);
    });
    for (const line of lines) {
      const { points, label } = lie.lines.find(l => l.to === line.to && l.place === line.place);
      const d = points.slice(1).map((q, i) => {
        const p = points[i], half = (p[0] + q[0]) / 2;
        return `C${turn([half, p[1]])} ${turn([half, q[1]])} ${turn(q)}`;
      });
      line.path.setAttribute("d", `M${turn(points[0])}${d.join("")}`);
      const away = label.away || (across ? -1 : 1), [x, y] = turn(label.at);
      const top = !across ? (label.alone ? 8 : -10) : away < 0 ? -20 : 16;
      line.labels.forEach((text, i) => {
        text.setAttribute("x", across ? x : x + 8 * away);
        text.setAttribute("y", y + top + 15 * i);
        text.setAttribute("text-anchor", (across ? label.alone : away > 0) ? "start" : "end");
      });
    }
    const [w, h] = turn([lie.length + 2, lie.breadth + 2]);
    const left = across ? 0 : Math.min(0, ...lines.map(l => l.labels[0].getAttribute("x") - gap));
    const right = across ? w
      : Math.max(w, ...lines.map(l => +l.labels[0].getAttribute("x") + gap));
    picture.setAttribute("viewBox", `${left} -16 ${right - left} ${h + 32}`);
    Object.assign(picture.style, { width: `${right - left}px`, height: `${h + 32}px` });
    scrollable();
  }
  function scrollable() {   // then the keyboard must reach it
    const scrolls = paper.scrollWidth > paper.clientWidth + 1;
    paper.tabIndex = scrolls ? 0 : -1;
    paper.classList.toggle("sgd-scrolls", scrolls);
  }

  const rows = leaves.flatMap(name => inputs[name].map((_, k) => {
    const called = inputs[name].length > 1 ? `${name}[${k}]` : name;
    const [reach, step] = scaleOf([start[name]].flat()[k]);
    const range = control("input", { type: "range", min: -reach, max: reach, step });
    const box = control("input", { type: "number", step, ariaLabel: `${called}, as a number` });
    range.addEventListener("input", () => change(name, k, +range.value));
    box.addEventListener("input", () => {
      if (box.value !== "" && Number.isFinite(+box.value)) change(name, k, +box.value);
    });
    box.addEventListener("change", () => { box.value = inputs[name][k]; });   // not left empty
    return { name, k, step, range, box, row: make("div", {}, make("label", {},
      make("span", { textContent: called }), range), box) };
  }));
  const button = (textContent, press) => {
    const b = control("button", { type: "button", textContent });
    b.addEventListener("click", press);
    return b;
  };
  const passes = [["Forward pass", 0], ["Backward pass", steps.findIndex(s => s.kind === "begin")],
                  ["Show all", last]].map(([name, step]) => button(name, () => go(step)));
  const back = button("Step back", () => go(Math.max(0, at - 1)));
  const next = button("Step", () => go((at + 1) % steps.length));
  const reset = button("Reset", () => {
    inputs = Object.fromEntries(leaves.map(name => [name, [start[name]].flat()]));
    go(0);
    post.send();
  });
  const heads = ["node", "PyTorch", "value", "gradient"];
  const cells = nodes.map((n, k) => [titleOf(nodes, k), n.fn, "", ""].map(t => new Text(t)));
  const table = make("table", {},
    make("tr", {}, ...heads.map(textContent => make("th", { scope: "col", textContent }))),
    ...cells.map(([head, ...more]) => make("tr", {}, make("th", { scope: "row" }, head),
                                           ...more.map(t => make("td", {}, t)))));
  const summary = control("summary", { textContent: "As a table" });
  live(el, model);
  el.classList.add("sgd-graph");
  el.append(
    make("div", { className: "sgd-steps" }, ...passes, back, next, make("span", {}, count), reset),
    make("div", { className: "sgd-sentence", ariaLive: "polite" }, words),
    paper, make("div", { className: "sgd-inputs" }, ...rows.map(r => r.row)),
    note, make("details", {}, summary, table));

  // mouse, finger or pen: an input's box, dragged sideways
  const dragged = rows.filter(({ name }) => inputs[name].length === 1).map(({ name, step }) => {
    const { g } = boxes[leaves.indexOf(name)];
    let from = null;
    g.classList.add("sgd-drag");
    g.addEventListener("pointerdown", e => {
      if (from || e.button !== 0) return;
      from = { id: e.pointerId, x: e.clientX, value: inputs[name][0] };
      g.setPointerCapture(from.id);
    });
    g.addEventListener("pointermove", e => {
      if (e.pointerId !== from?.id) return;
      const value = +(from.value + Math.round((e.clientX - from.x) / 4) * step).toPrecision(12);
      if (value !== inputs[name][0]) change(name, 0, value);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
      g.addEventListener(end, e => { if (e.pointerId === from?.id) from = null; });
    return g;
  });

  function show() {
    for (const { name, k, range, box } of rows) {
      const value = inputs[name][k];
      range.value = value;
      range.ariaValueText = num(value);
      if (+box.value !== value || box.value === "") box.value = value;
    }
    const values = forward(nodes, leaves.map(name => inputs[name])), run = backward(nodes, values);
    const { kind, at: here } = steps[at];
    boxes.forEach(({ g, value, grad }, k) => {
      const seen = [at >= valueAt[k], at >= gradAt[k]];
      put(value, seen[0] ? shown(values[k]) : "");
      put(grad, seen[1] ? shown(run.grads[k]) : "");
      put(cells[k][2], value.data);
      put(cells[k][3], grad.data);
      g.classList.toggle("sgd-now", kind === "inputs" ? !nodes[k].op : k === here);
      g.classList.toggle("sgd-later", !seen[0]);
    });
    for (const line of lines) {
      const { slope, arrives } = run.edges.find(e => e.to === line.to && e.place === line.place);
      const seen = at >= line.seenAt;
      put(line.texts[0], seen ? `× ${shown(slope)}` : "");
      put(line.texts[1], seen ? `${across ? "←" : "↑"} ${shown(arrives)}` : "");
      line.g.classList.toggle("sgd-now", kind === "meet" ? line.from === here
        : line.to === here && kind !== "begin");
      const back = (kind === "backward" || kind === "meet") && line.g.matches(".sgd-now");
      line.g.classList.toggle("sgd-back", back);
      const [off, on] = back ? ["end", "start"] : ["start", "end"];
      line.path.removeAttribute(`marker-${off}`);
      line.path.setAttribute(`marker-${on}`, `url(#${group})`);
    }
    put(words, sentence(steps[at], nodes, { values, ...run }));
    put(count, at === last ? "all values and gradients" : `step ${at + 1} of ${last}`);
    const pass = at === last ? 2 : at >= first("begin", nodes.length - 1) ? 1 : 0;
    passes.forEach((b, i) => { b.ariaPressed = String(i === pass); });
    back.ariaDisabled = String(at === 0);
    picture.setAttribute("aria-label", `Computation graph. ${nodes.map((_, k) =>
      `${titleOf(nodes, k)}: value ${boxes[k].value.data || "not yet"}, gradient `
      + (boxes[k].grad.data || "not yet")).join("; ")}.`);
  }

  // does the page compute what PyTorch did?
  const values = forward(nodes, leaves.map(name => [start[name]].flat()));
  const same = (a, b) => a.every((list, k) => list.every((v, i) =>
    Math.abs(v - b[k][i]) <= 1e-9 * Math.max(1, Math.abs(v))));
  const agrees = same(said.values, values) && same(said.grads, backward(nodes, values).grads);
  note.textContent = `Move an input with its slider${dragged.length ? ", or drag its box sideways"
    : ""}. PyTorch recorded this graph; where the inputs began, it has ${agrees
    ? "the same values and gradients" : "OTHER values or gradients than this page"}.`;

  for (const name of leaves)   // from Python, or from another view
    model.on(`change:${name}`, () => { if (!post.busy()) { inputs = read(); show(); } });
  const sizes = new ResizeObserver(() => { arrange(); show(); });
  sizes.observe(paper);
  arrange();
  show();
  return () => { post.stop(); sizes.disconnect(); };
}

export default { render };
