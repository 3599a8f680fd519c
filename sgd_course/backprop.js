// What graph.js shows: values forward and gradients backward through a graph that PyTorch has
// recorded, the steps of both passes, and a sentence for each. No page is needed. A value is a
// list: one number, or the elements of a vector. A node has a name and, unless it is a leaf, an
// op, a text such as "{0}**2", and operands: numbers of earlier nodes, and constants as lists.

const plain = f => ({ of: f, slopes: [() => 1, () => 1], says: ["1", "1"] });
const ofResult = (f, slope, says) => ({ of: f, slopes: [(u, v, r) => slope(r)], says: [says] });
const larger = (of, sign) => {   // between equals PyTorch shares the gradient
  const slope = d => d * sign > 0 ? 1 : d === 0 ? 0.5 : 0;
  const says = `1 if it is the ${sign > 0 ? "larger" : "smaller"}, else 0`;
  return { of, slopes: [(u, v) => slope(u - v), (u, v) => slope(v - u)], says: [says, says] };
};

// op: its value for numbers u and v, its slopes for each (r is the value), and these in words
const OPS = {
  add: plain((u, v) => u + v),
  sub: { of: (u, v) => u - v, slopes: [() => 1, () => -1], says: ["1", "-1"] },
  mul: { of: (u, v) => u * v, slopes: [(u, v) => v, u => u], says: ["{1}", "{0}"] },
  div: { of: (u, v) => u / v, slopes: [(u, v) => 1 / v, (u, v) => -u / v ** 2],
         says: ["1/{1}", "-{0}/{1}**2"] },
  neg: { of: u => -u, slopes: [() => -1], says: ["-1"] },
  reciprocal: { of: u => 1 / u, slopes: [u => -1 / u ** 2], says: ["-1/{0}**2"] },
  pow: { of: (u, v) => u ** v,
         slopes: [(u, v) => v === 0 ? 0 : v * u ** (v - 1),
                  (u, v, r) => u === 0 && v >= 0 ? 0 : r * Math.log(u)],
         says: ["{1}*{0}**({1} - 1)", "{r}*log({0})"] },
  exp: ofResult(Math.exp, r => r, "exp({0})"),
  log: { of: Math.log, slopes: [u => 1 / u], says: ["1/{0}"] },
  sin: { of: Math.sin, slopes: [Math.cos], says: ["cos({0})"] },
  cos: { of: Math.cos, slopes: [u => -Math.sin(u)], says: ["-sin({0})"] },
  sigmoid: ofResult(u => 1 / (1 + Math.exp(-u)), r => r * (1 - r), "{r}*(1 - {r})"),
  tanh: ofResult(Math.tanh, r => 1 - r * r, "1 - {r}**2"),
  relu: { of: u => Math.max(u, 0), slopes: [u => u > 0 ? 1 : 0], says: ["1 above 0, else 0"] },
  sqrt: ofResult(Math.sqrt, r => 1 / (2 * r), "1/(2*{r})"),
  abs: { of: Math.abs, slopes: [Math.sign], says: ["1 above 0, -1 below, 0 at 0"] },
  maximum: larger(Math.max, 1),
  minimum: larger(Math.min, -1),
};

const each = (f, ...lists) => Array.from({ length: Math.max(...lists.map(l => l.length)) },
  (_, k) => f(...lists.map(l => l[l.length > 1 ? k : 0])));
const total = list => list.reduce((a, b) => a + b, 0);

// the same for ops that make one number of vectors
const OF_VECTORS = {
  sum: { of: u => total(u), slopes: [u => u.map(() => 1)], says: ["1 for each element"] },
  mean: { of: u => total(u) / u.length, slopes: [u => u.map(() => 1 / u.length)],
          says: ["1 over the number of elements, for each"] },
  dot: { of: (u, v) => total(each((a, b) => a * b, u, v)), slopes: [(u, v) => v, u => u],
         says: ["{1}", "{0}"] },
  select: { of: (u, [k]) => u[k], slopes: [(u, [k]) => u.map((_, j) => j === k ? 1 : 0)],
            says: ["1 for this element, 0 for the others"] },
};

const isNode = operand => typeof operand === "number";
const operandsOf = (node, values) => node.operands.map(o => isNode(o) ? values[o] : o);

// inputs: a list for each leaf; gives a list for each node
const forward = (nodes, inputs) => {
  const values = [...inputs];
  for (const node of nodes.slice(inputs.length)) {
    const lists = operandsOf(node, values);
    values.push(node.op in OPS ? each(OPS[node.op].of, ...lists)
      : [OF_VECTORS[node.op].of(...lists)]);
  }
  return values;
};

// The gradient of each node, and what went along each edge, in the order of the backward pass
const backward = (nodes, values) => {
  const grads = nodes.map(() => null), edges = [];
  grads[nodes.length - 1] = [1];
  for (let to = nodes.length - 1; nodes[to].op; to--)
    nodes[to].operands.forEach((from, place) => {
      if (!isNode(from)) return;
      const { op } = nodes[to], lists = operandsOf(nodes[to], values);
      const slope = op in OPS ? each(OPS[op].slopes[place], lists[0], lists[1] ?? [0], values[to])
        : OF_VECTORS[op].slopes[place](...lists);
      const product = each((g, s) => g * s, grads[to], slope);
      // one number that takes part in all elements gets something from each of them
      const arrives = values[from].length < product.length ? [total(product)] : product;
      grads[from] = grads[from] ? each((a, b) => a + b, grads[from], arrives) : arrives;
      edges.push({ from, to, place, slope, product, arrives });
    });
  return { grads, edges };
};

// Both passes, one node at a time: the last step shows all of it
const stepsOf = nodes => {
  const ops = [...nodes.keys()].filter(k => nodes[k].op), steps = [{ kind: "inputs" }];
  for (const at of ops) steps.push({ kind: "forward", at });
  steps.push({ kind: "begin", at: ops.at(-1) });
  const users = nodes.map((_, k) => ops.filter(to => nodes[to].operands.includes(k)));
  const times = (to, k) => nodes[to].operands.filter(o => o === k).length;
  for (const at of [...ops].reverse()) {
    steps.push({ kind: "backward", at });
    for (const k of new Set(nodes[at].operands.filter(isNode)))   // the last one that was missing
      if (users[k][0] === at && total(users[k].map(to => times(to, k))) > 1)
        steps.push({ kind: "meet", at: k });
  }
  return [...steps, { kind: "all" }];
};

const num = (v, digits = 4) => {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "nan" : v > 0 ? "inf" : "-inf";
  if (v !== 0 && (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3))
    return v.toExponential(digits - 2).replace(/\.?0*e\+?/, "e");
  return String(+v.toPrecision(digits) + 0);   // no -0
};
const shown = list => list.length > 1 ? `[${list.map(v => num(v, 3)).join(", ")}]` : num(list[0]);

const fill = (text, parts) => text.replace(/\{(\w)\}/g, (_, key) => parts[key])
  .replace(/\(\((-[^()]*)\)\)/g, "($1)");
const atom = text => text.startsWith("-") ? `(${text})` : text;
const namesOf = (nodes, k) => ({ r: nodes[k].name,
  ...nodes[k].operands.map(o => isNode(o) ? nodes[o].name : atom(shown(o))) });
const formulaOf = (nodes, k) => fill(nodes[k].text, namesOf(nodes, k));
const titleOf = (nodes, k) => nodes[k].op ? `${nodes[k].name} = ${formulaOf(nodes, k)}`
  : nodes[k].name;

// The local slope of an edge as a formula, "2*b = 14", or in words, "1 above 0, else 0: here 1"
const slopeInWords = (nodes, { to, place, slope }) => {
  const { op, operands: [, power] } = nodes[to], value = shown(slope);
  let says = (OPS[op] ?? OF_VECTORS[op]).says[place];
  if (op === "pow" && place === 0 && !isNode(power)) {
    const [c] = power, rest = c === 2 ? "" : `**${atom(num(c - 1))}`;
    says = c === 1 || c === 0 ? num(c) : `${num(c)}*{0}${rest}`;
  }
  const formula = fill(says, namesOf(nodes, to));
  return formula === value || formula === atom(value) ? value
    : /[a-z] [a-z0-9]/.test(formula) ? `${formula}: here ${value}` : `${formula} = ${value}`;
};

const COUNTS = ["", "", "Two", "Three", "Four", "Five", "Six"];
const SENTENCES = {
  inputs: (nodes, { values }) => "The forward pass begins at the inputs: "
    + nodes.filter(n => !n.op).map((n, k) => `${n.name} = ${shown(values[k])}`).join(", ")
    + ". Press Step to go on.",
  forward: (nodes, { values }, k) => {
    const numbers = operandsOf(nodes[k], values).map(list => atom(shown(list)));
    const both = new Set([fill(nodes[k].text, numbers), shown(values[k])]);   // once, if the same
    return `${titleOf(nodes, k)} = ${[...both].join(" = ")}.`;
  },
  begin: (nodes, run, k) => `The backward pass begins at the end: the slope of ${nodes[k].name} `
    + "for itself is 1.",
  backward: (nodes, { grads, edges }, k) => {
    const mine = edges.filter(({ to }) => to === k), g = shown(grads[k]);
    return `${titleOf(nodes, k)} has gradient ${g}. ` + mine.map(edge => {
      const { from, place, slope, product, arrives } = edge, { name } = nodes[from];
      const which = mine.filter(e => e.from === from).length > 1
        ? ` in its ${place ? "second" : "first"} place` : "";
      const sum = product.length > arrives.length ? `, added up ${shown(arrives)},` : "";
      return `Its slope for ${name}${which} is ${slopeInWords(nodes, edge)}; `
        + `${g} × ${atom(shown(slope))} = ${shown(product)}${sum} arrives at ${name}.`;
    }).join(" ");
  },
  meet: (nodes, { grads, edges }, k) => {
    const parts = edges.filter(({ from }) => from === k).map(({ arrives }) => shown(arrives));
    const sum = parts.map((p, i) => i ? atom(p) : p).join(" + ");
    return `${COUNTS[parts.length] ?? parts.length} gradients arrive at ${nodes[k].name} and are `
      + `added: ${sum} = ${shown(grads[k])}.`;
  },
  all: (nodes, { values, grads }) => {
    const bad = values.findIndex(list => !list.every(Number.isFinite));
    if (bad >= 0) return `There is no number here: ${SENTENCES.forward(nodes, { values }, bad)}`;
    const [first, ...more] = nodes.flatMap(({ op, name }, k) =>
      op ? [] : [`${shown(grads[k])} for ${name}`]), { name } = nodes.at(-1);
    return `${name} = ${shown(values.at(-1))}. Its gradient is ${[first, ...more].join(", ")}`
      + (more.length || values[0].length > 1 ? "."
        : `: nudge ${nodes[0].name} a little, and ${name} moves ${shown(grads[0])} times as far.`);
  },
};
const sentence = (step, nodes, run) => SENTENCES[step.kind](nodes, run, step.at);
