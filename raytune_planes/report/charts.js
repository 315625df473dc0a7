// Charts in the place of pictures, at the width that there is; the arrow keys go from mark to mark.

const HEIGHT = 300, LEFT = 56, RIGHT = 14, TOP = 22, BOTTOM = 40;

function put(parent, name, attributes = {}, text = "") {
  const made = document.createElementNS(parent.namespaceURI, name);
  for (const [key, v] of Object.entries(attributes)) made.setAttribute(key, v);
  made.textContent = text;
  return parent.appendChild(made);
}

function ticks(low, high, whole = false) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(whole ? 1 : 0, power * [1, 2, 5, 10].find((each) => each * power >= rough));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

// Axes with rules; returns the functions from values to places. Ends are widened so that no mark is cut.
function plane(svg, top, xs, ys, { x: xName, y: yName, title = "", height = HEIGHT, whole = false, marks = null }) {
  const width = svg.clientWidth;
  const wide = (values, by) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const more = (high - low) * by || Math.abs(high) * by || 1;
    return [low - more, high + more];
  };
  const [x0, x1] = wide(xs, 0.05), [y0, y1] = wide(ys, 0.08);
  const X = (v) => LEFT + (v - x0) / (x1 - x0) * (width - LEFT - RIGHT);
  const Y = (v) => top + height - BOTTOM - (v - y0) / (y1 - y0) * (height - TOP - BOTTOM);
  for (const v of ticks(y0, y1)) {
    put(svg, "line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: Y(v), y2: Y(v) });
    put(svg, "text", { class: "quiet", x: LEFT - 6, y: Y(v) + 4, "text-anchor": "end" }, v);
  }
  for (const [v, text] of marks || ticks(x0, x1, whole).map((each) => [each, each])) {
    put(svg, "text", { class: "quiet", x: X(v), y: top + height - BOTTOM + 16, "text-anchor": "middle" }, text);
  }
  put(svg, "line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: Y(y0), y2: Y(y0) });
  put(svg, "text", { x: width - RIGHT, y: top + height - 6, "text-anchor": "end" }, xName);
  put(svg, "text", { x: 4, y: top + 12, "font-weight": title ? "bold" : "normal" }, title || yName);
  return { X, Y, bottom: Y(y0), top: Y(y1) };
}

const SHAPES = {
  circle: "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z", down: "M-6,-4.5H6L0,6z", cross: "M-5,-5L5,5M-5,5L5,-5",
  square: "M-5,-5H5V5H-5z",
};
const shapeOf = { completed: "circle", converged: "circle", pruned: "down", failed: "cross" };

function point(svg, trial, x, y) {
  const classes = `point end-${trial.end}${trial.feasible ? "" : " open"}${trial.best ? " best" : ""}`;
  const mark = put(svg, "path", {
    class: classes, "data-trial": trial.number, d: SHAPES[shapeOf[trial.end] || "square"],
    transform: `translate(${x},${y})${trial.best ? " scale(1.4)" : ""}`, role: "img", tabindex: -1,
  });
  tell(mark, about(trial));
}

// The ends that occur, below a chart; returns the height that this takes.
function legend(svg, y) {
  let x = LEFT;
  for (const end of new Set([...trials.values()].map((t) => t.end))) {
    put(svg, "path", { class: `point end-${end}`, d: SHAPES[shapeOf[end] || "square"], transform: `translate(${x},${y + 6})` });
    x += 14 + put(svg, "text", { x: x + 10, y: y + 10 }, end).getComputedTextLength() + 16;
  }
  return 24;
}

function history(svg, chart) {
  const known = chart.order.map((n) => trials.get(n).value).filter((v) => v !== null);
  const places = chart.order.map((_, i) => i + 1);
  const { X, Y, bottom } = plane(svg, 0, places, known.length ? known : [0, 1],
    { x: "trials, in the order in which they ended", y: chart.label, whole: true });
  let line = "";
  chart.best.forEach((v, i) => { if (v !== null) line += line ? `H${X(i + 1)}V${Y(v)}` : `M${X(i + 1)},${Y(v)}`; });
  put(svg, "path", { class: "path", d: line });
  chart.order.forEach((n, i) => {
    const trial = trials.get(n);
    point(svg, trial, X(i + 1), trial.value === null ? bottom - 8 : Y(trial.value));
  });
  return HEIGHT + legend(svg, HEIGHT);
}

function front(svg, chart) {
  chart.panels.forEach((panel, i) => {
    const has = [...trials.values()].filter((t) => t.metrics[panel.x] != null && t.metrics[panel.y] != null);
    const values = (name, floor) => [...has.map((t) => t.metrics[name]), ...(floor === null ? [] : [floor])];
    const { X, Y, top, bottom } = plane(svg, i * HEIGHT, values(panel.x, panel.floors[0]),
      values(panel.y, panel.floors[1]), panel);
    const [x, y] = panel.floors;
    if (x !== null) put(svg, "line", { class: "floor", x1: X(x), x2: X(x), y1: top, y2: bottom });
    if (y !== null) put(svg, "line", { class: "floor", x1: LEFT, x2: svg.clientWidth - RIGHT, y1: Y(y), y2: Y(y) });
    const line = panel.line.map((n) => trials.get(n).metrics).map((m) => `${X(m[panel.x])},${Y(m[panel.y])}`);
    if (line.length) put(svg, "path", { class: "path", d: `M${line.join("L")}` });
    for (const t of has) point(svg, t, X(t.metrics[panel.x]), Y(t.metrics[panel.y]));
  });
  const height = HEIGHT * chart.panels.length;
  return height + legend(svg, height);
}

function gaps(svg, chart) {
  const epochs = chart.epochs, height = 230, digits = (v) => v.toFixed(4), signed = (v) => (v < 0 ? "" : "+") + digits(v);
  chart.panels.forEach((panel, p) => {
    const ends = [...panel.training, ...panel.validation, ...panel.bands.flatMap((b) => b || []), panel.test?.value, panel.test?.low, panel.test?.high];
    const kept = epochs.indexOf(chart.kept);
    const gap = panel.gaps[kept] == null ? "" : `: gap ${signed(panel.gaps[kept])} at epoch ${chart.kept}`;
    const { X, Y, top, bottom } = plane(svg, p * height, [...epochs, ...(panel.test ? [epochs.at(-1) + 1] : [])],
      ends.filter((v) => v != null), { x: "epoch", title: panel.title + gap, height, whole: true });
    const seen = (series) => series.map((v, i) => (v === null ? null : [X(epochs[i]), Y(v)])).filter(Boolean);
    const [training, validation] = [seen(panel.training), seen(panel.validation)];
    const look = { fill: "none", stroke: panel.colour, "stroke-width": 2 };
    if (training.length) put(svg, "path", { d: `M${training.join("L")}L${[...validation].reverse().join("L")}z`, fill: panel.colour, "fill-opacity": 0.2 });
    if (training.length) put(svg, "path", { ...look, d: `M${training.join("L")}`, "stroke-dasharray": "6 4" });
    put(svg, "path", { ...look, d: `M${validation.join("L")}` });
    panel.bands.forEach((b, i) => { if (b) put(svg, "line", { ...look, "stroke-width": 1, x1: X(epochs[i]), x2: X(epochs[i]), y1: Y(b[0]), y2: Y(b[1]) }); });
    put(svg, "line", { class: "axis", x1: X(chart.kept), x2: X(chart.kept), y1: top, y2: bottom });
    if (panel.test) {
      const x = X(epochs.at(-1) + 1), { value: v, low, high } = panel.test;
      if (low !== null) put(svg, "line", { class: "path", x1: x, x2: x, y1: Y(low), y2: Y(high) });
      const mark = put(svg, "path", { d: "M-6,0L0,-6L6,0L0,6z", transform: `translate(${x},${Y(v)})`, role: "img", tabindex: -1 });
      tell(mark, `${panel.title}\ntest  ${digits(v)}${low === null ? "" : ` [${digits(low)}, ${digits(high)}]`}`);
    }
    epochs.forEach((epoch, i) => {
      const half = Math.max(4, (X(epochs.at(-1)) - X(epochs[0])) / Math.max(1, epochs.length - 1) / 2);
      const column = put(svg, "rect", { class: "column", x: X(epoch) - half, width: 2 * half, y: top, height: bottom - top, role: "img", tabindex: -1 });
      const band = panel.bands[i], lines = [`${panel.title}, epoch ${epoch}${epoch === chart.kept ? " (kept)" : ""}`];
      if (panel.training[i] !== null) lines.push(`training  ${digits(panel.training[i])}`);
      if (panel.validation[i] !== null) lines.push(`validation  ${digits(panel.validation[i])}${band ? ` [${band.map(digits).join(", ")}]` : ""}`);
      if (panel.gaps[i] !== null) lines.push(`gap  ${signed(panel.gaps[i])}`);
      tell(column, lines.join("\n"));
    });
  });
  return height * chart.panels.length;
}

function shares(svg, chart) {
  const height = 230, places = chart.shares.map(Math.log2), digits = (v) => v.toFixed(4);
  chart.panels.forEach((panel, p) => {
    const ends = [...panel.values, ...panel.bands.flatMap((b) => b || [])].filter((v) => v !== null);
    const marks = places.map((v, i) => [v, `${chart.names[i]}: ${panel.pictures[i].toLocaleString("en")}`]);
    const { X, Y } = plane(svg, p * height, [places[0] - 0.2, places.at(-1) + 0.2], ends,
      { x: "training pictures", title: panel.title, height, marks });
    const look = { fill: "none", stroke: panel.colour, "stroke-width": 2 };
    const seen = panel.values.flatMap((v, i) => (v === null ? [] : [[X(places[i]), Y(v)]]));
    if (seen.length) put(svg, "path", { ...look, d: `M${seen.join("L")}` });
    panel.values.forEach((v, i) => {
      if (v === null) return;
      const x = X(places[i]), band = panel.bands[i];
      if (band) put(svg, "path", { ...look, "stroke-width": 1.5, d: `M${x},${Y(band[0])}V${Y(band[1])}M${x - 5},${Y(band[0])}h10M${x - 5},${Y(band[1])}h10` });
      const dot = put(svg, "circle", { cx: x, cy: Y(v), r: 5, fill: panel.colour, role: "img", tabindex: -1 });
      tell(dot, [panel.title, `${chart.names[i]}: ${panel.pictures[i].toLocaleString("en")} training pictures`,
        `validation  ${digits(v)}${band ? ` [${band.map(digits).join(", ")}]` : ""}`].join("\n"));
    });
  });
  return height * chart.panels.length;
}

const KINDS = { history, front, parallel, gaps, shares };

function draw(box) {
  const svg = box.firstChild, chart = data[box.dataset.name];
  box.parentNode.classList.add("drawn");
  svg.replaceChildren();
  svg.style.width = "100%";
  svg.setAttribute("height", KINDS[chart.kind](svg, chart));
  const marks = all('[tabindex="-1"]', svg);
  if (marks.length) marks[0].setAttribute("tabindex", 0);
  marks.forEach((mark, i) => mark.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && marks[i + step]) { event.preventDefault(); marks[i + step].focus(); }
  }));
}

function drawAll() {
  for (const box of all(".chart")) draw(box);
}

drawAll();
follow();
const widths = new Map();
const watch = new ResizeObserver((seen) => {
  for (const { target, contentRect: { width } } of seen) {
    if (widths.has(target) && widths.get(target) !== width && width) { draw(target); follow(); }
    widths.set(target, width);
  }
});
for (const box of all(".chart")) watch.observe(box);
