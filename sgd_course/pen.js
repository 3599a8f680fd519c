// A canvas to draw on, with mouse, finger or pen. Strokes are lists of points [x, y], from 0 to 1.

const STEP = 0.004;   // the least way between two points, of the paper's side

function paintStrokes(canvas, strokes) {
  const side = canvas.width = canvas.height = 280 * Math.ceil(devicePixelRatio);
  const pen = canvas.getContext("2d");
  Object.assign(pen, { lineWidth: LEAST * side, lineCap: "round", lineJoin: "round" });
  for (const [[x, y], ...rest] of strokes) {
    pen.beginPath();
    pen.moveTo(x * side, y * side);
    pen.lineTo(x * side + 0.01, y * side);   // a single point is a dot
    for (const [x, y] of rest) pen.lineTo(x * side, y * side);
    pen.stroke();
  }
}

// The first one that touches draws, until it is lifted: `begin` gets a new stroke, of one point,
// and `grown` is called when it has more
function penOn(canvas, begin, grown) {
  let pointer = null, stroke = null;
  const place = e => {
    const r = canvas.getBoundingClientRect();
    return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height]
      .map(v => Math.round(1e4 * Math.min(1, Math.max(0, v))) / 1e4);
  };
  canvas.addEventListener("pointerdown", e => {
    if (pointer !== null || e.button !== 0) return;
    pointer = e.pointerId;
    canvas.setPointerCapture(pointer);
    stroke = [place(e)];
    begin(stroke);
  });
  canvas.addEventListener("pointermove", e => {
    if (e.pointerId !== pointer) return;
    const between = e.getCoalescedEvents?.() ?? [];   // more than one for each picture
    for (const p of [...between, e].map(place)) {
      const [x, y] = stroke.at(-1);
      if (Math.hypot(p[0] - x, p[1] - y) >= STEP) stroke.push(p);
    }
    grown();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    canvas.addEventListener(end, e => { if (e.pointerId === pointer) pointer = null; });
}
