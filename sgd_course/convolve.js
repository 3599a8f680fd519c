// What filters.js computes: the feature maps of a model's first convolution, as PyTorch does. From
// Python's _net {layers, weights}: each layer is {kind: "conv", filters, size, padding, stride},
// {kind: "pool", size, stride}, {kind: "scale"} or {kind: "relu"}; the weights are float32, in
// base64: of a convolution the filters and then the biases, of a scale the factors and the shifts.
// Maps are {maps: of each filter its numbers, row by row, side: how many in a row}.

const numbersOf = text =>
  new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);

function layersOf({ layers, weights }) {
  const numbers = numbersOf(weights);
  let at = 0, filters = 0;
  const take = n => numbers.subarray(at, at += n);
  return layers.map(layer => {
    filters = layer.filters ?? filters;
    if (layer.kind === "conv")
      return { ...layer, w: [...Array(filters)].map(() => take(layer.size ** 2)),
               b: take(filters) };
    return layer.kind === "scale" ? { ...layer, by: take(filters), more: take(filters) } : layer;
  });
}

const LAYERS = {
  conv: ({ maps: [x], side }, { w, b, size, padding, stride }) => {
    const out = Math.floor((side + 2 * padding - size) / stride) + 1;
    const maps = w.map((filter, f) => {
      const map = new Float64Array(out * out).fill(b[f]);
      for (let i = 0; i < out; i++) for (let j = 0; j < out; j++)
        for (let p = 0; p < size; p++) for (let q = 0; q < size; q++) {
          const row = i * stride + p - padding, column = j * stride + q - padding;
          if (row < 0 || row >= side || column < 0 || column >= side) continue;
          map[i * out + j] += filter[p * size + q] * x[row * side + column];
        }
      return map;
    });
    return { maps, side: out };
  },
  pool: ({ maps, side }, { size, stride }) => {   // the largest of each window
    const out = Math.floor((side - size) / stride) + 1;
    const pooled = maps.map(map => Float64Array.from({ length: out * out }, (_, k) => {
      let most = -Infinity;
      for (let p = 0; p < size; p++) for (let q = 0; q < size; q++)
        most = Math.max(most, map[(Math.floor(k / out) * stride + p) * side
                                  + k % out * stride + q]);
      return most;
    }));
    return { maps: pooled, side: out };
  },
  scale: ({ maps, side }, { by, more }) => ({
    maps: maps.map((map, f) => map.map(v => by[f] * v + more[f])), side }),
  relu: ({ maps, side }) => ({ maps: maps.map(map => map.map(v => Math.max(0, v))), side }),
};

const mapsOf = (layers, x) => layers.reduce((maps, layer) => LAYERS[layer.kind](maps, layer),
                                            { maps: [x], side: Math.sqrt(x.length) });

// The place in a map where a filter responds most, in words
function placeOf(map, side) {
  const k = map.indexOf(Math.max(...map)), third = v => Math.min(2, Math.floor(3 * v / side));
  const words = [["top", "", "bottom"][third(Math.floor(k / side))],
                 ["left", "", "right"][third(k % side)]];
  return words.filter(Boolean).join(" ") || "centre";
}

// What all filters see, in words
function tellMaps({ maps, side }, name) {
  const most = maps.map(map => Math.max(...map)), best = most.indexOf(Math.max(...most));
  if (!(most[best] > 0)) return `${name}: no filter responds.`;
  const blind = most.map((v, f) => f + 1).filter(f => !(most[f - 1] > 0));
  const rest = blind.length ? ` ${blind.length === 1 ? "Filter" : "Filters"} ${blind.join(", ")} `
    + `${blind.length === 1 ? "sees" : "see"} nothing.` : "";
  return `${name}: filter ${best + 1} responds most, at the ${placeOf(maps[best], side)}.${rest}`;
}
