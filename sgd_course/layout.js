// Where the boxes and lines of a graph lie: in layers, each operation after what it takes. A line
// that passes a layer has a place there too, so that it goes through no box. No page is needed.

const layersOf = nodes => {
  const sources = nodes.map(n => (n.operands ?? []).filter(o => typeof o === "number"));
  const layer = [];
  nodes.forEach((_, k) => { layer[k] = 1 + Math.max(-1, ...sources[k].map(s => layer[s])); });
  nodes.forEach((n, k) => {   // a leaf stands just before its first use
    const users = [...nodes.keys()].filter(to => sources[to].includes(k));
    if (!n.op) layer[k] = Math.min(...users.map(to => layer[to])) - 1;
  });
  return layer;
};

// sizes: along and across of a box, and the gaps between boxes
function layout(nodes, { along, across, gap, aside, pass }) {
  const layer = layersOf(nodes), rows = [];
  const item = (at, size) => {
    const it = { at, size, before: [], after: [], middle: 0 };
    (rows[at] ??= []).push(it);
    return it;
  };
  const boxes = nodes.map((_, k) => item(layer[k], across));
  const lines = [];
  nodes.forEach((node, to) => (node.operands ?? []).forEach((from, place) => {
    if (typeof from !== "number") return;
    const way = [boxes[from]];
    for (let at = layer[from] + 1; at < layer[to]; at++) way.push(item(at, pass));
    way.push(boxes[to]);
    way.slice(1).forEach((b, i) => { way[i].after.push(b); b.before.push(way[i]); });
    lines.push({ from, to, place, way });
  }));

  const mean = list => list.reduce((a, b) => a + b, 0) / list.length;
  const spread = (row, wishes) => {   // in this order, each as near as can be to its wish
    row.forEach((it, i) => {
      const least = i ? row[i - 1].middle + (row[i - 1].size + it.size) / 2 + aside : -Infinity;
      it.middle = Math.max(wishes[i], least);
    });
    const off = mean(row.map((it, i) => it.middle - wishes[i]));
    for (const it of row) it.middle -= off;
  };
  for (const row of rows)
    row.forEach((it, i) => { it.middle = (i - (row.length - 1) / 2) * across; });
  for (let sweep = 0; sweep < 21; sweep++) {   // there and back: each in the middle of its own
    const back = sweep % 2;
    for (const row of back ? [...rows].reverse() : rows) {
      const wishes = new Map(row.map(it => {
        const own = back ? it.after : it.before;
        return [it, own.length ? mean(own.map(other => other.middle)) : it.middle];
      }));
      row.sort((a, b) => wishes.get(a) - wishes.get(b));
      spread(row, row.map(it => wishes.get(it)));
    }
  }
  const all = rows.flat(), least = Math.min(...all.map(it => it.middle - it.size / 2));
  const most = Math.max(...all.map(it => it.middle + it.size / 2));
  for (const it of all) it.middle -= least;

  // lines leave and reach a box side by side, in the order of where they come from and go to
  const berth = (mine, other) => {
    const order = [...mine].sort((a, b) => other(a) - other(b) || a.place - b.place);
    return line => (order.indexOf(line) - (order.length - 1) / 2) * across * 0.8
      / Math.max(order.length, 2);
  };
  for (const line of lines) {
    const { from, to, way } = line, n = way.length;
    const leaves = berth(lines.filter(l => l.from === from), l => l.way[1].middle)(line);
    const reaches = berth(lines.filter(l => l.to === to), l => l.way.at(-2).middle)(line);
    line.points = way.flatMap((it, i) => {
      const start = it.at * (along + gap), point = a => [a, it.middle];
      if (i === 0) return [[start + along, it.middle + leaves]];
      if (i === n - 1) return [[start, it.middle + reaches]];
      return [point(start), point(start + along)];
    });
    // its label: beside that end where the line is alone, away from where the line goes
    const alone = lines.filter(l => l.from === from).length === 1;
    const [here, there] = alone ? line.points : [...line.points].reverse();
    const away = (!alone && Math.sign(reaches || leaves)) || Math.sign(here[1] - there[1]);
    line.label = { alone, away, at: [here[0] + (alone ? 8 : -12), here[1]] };
  }
  return { lines, length: rows.length * (along + gap) - gap, breadth: most - least,
           boxes: boxes.map(it => [it.at * (along + gap), it.middle]) };
}
