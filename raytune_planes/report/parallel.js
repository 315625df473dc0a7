// Parallel coordinates, and the ranges on their axes that choose trials.

// What lies at a height of an axis, in words.
function within(axis, [low, high]) {
  const [a, b] = [low, high].map((h) => (axis.log ? axis.low * (axis.high / axis.low) ** h : axis.low + h * (axis.high - axis.low)));
  if (axis.choices.length) return axis.choices.filter((c) => c.height >= low && c.height <= high).map((c) => c.text).join(", ") || "none";
  return axis.whole ? `${Math.ceil(a - 1e-9)} to ${Math.floor(b + 1e-9)}` : `${Number(a.toPrecision(3))} to ${Number(b.toPrecision(3))}`;
}

function parallel(svg, chart) {
  const height = 380, top = 64, bottom = height - 24, count = chart.axes.length;
  svg.style.minWidth = `${count * 92}px`;
  const width = svg.clientWidth, gap = width / count;
  const X = (i) => gap * (i + 0.5), Y = (h) => bottom - h * (bottom - top);
  const known = [...trials.values()].filter((t) => t.value !== null).sort((a, b) => a.best - b.best || a.value - b.value);
  const faint = Math.min(1, 8 / Math.sqrt(known.length)); // many lines would become one surface
  known.forEach((trial, rank) => {
    const dots = trial.heights.map((h, i) => (h === null ? null : [X(i), Y(h)])).filter(Boolean);
    const course = put(svg, "g", { class: `course${trial.best ? " best" : ""}`, "data-trial": trial.number, role: "img", tabindex: -1 });
    const d = `M${dots.join("L")}`;
    put(course, "path", { class: "hit", d });
    put(course, "path", { class: "seen", d, "stroke-opacity": trial.best ? 1 : faint * (0.25 + 0.75 * rank / known.length) });
    for (const [x, y] of dots) put(course, "circle", { class: "dot", cx: x, cy: y, r: 3 });
    tell(course, about(trial));
  });
  chart.axes.forEach((axis, i) => {
    put(svg, "line", { class: "axis", x1: X(i), x2: X(i), y1: top, y2: bottom });
    name(svg, axis.name, X(i), gap);
    const marks = axis.choices.length ? axis.choices
      : [[0, axis.low], [1, axis.high]].map(([h, v]) => ({ height: h, text: String(Number(v.toPrecision(3))) }));
    for (const { height: h, text } of marks) {
      put(svg, "text", { class: "quiet over", x: X(i) + 6, y: Y(h) + (axis.choices.length ? 4 : h ? -6 : 14) }, text.length > 12 ? `${text.slice(0, 11)}\u2026` : text);
    }
    brush(svg, axis, i, X(i), top, bottom);
  });
  return height;
}

// The name of an axis in at most three lines: it is broken after dots, slashes and underscores.
function name(svg, text, x, width) {
  const lines = [""];
  for (const part of text.split(/(?<=[./_])/)) {
    if ((lines.at(-1) + part).length * 6.6 > width - 6 && lines.at(-1)) lines.push("");
    lines[lines.length - 1] += part;
  }
  const shown = lines.slice(-3);
  shown.forEach((line, i) => put(svg, "text", { x, y: 46 - 14 * (shown.length - 1 - i), "text-anchor": "middle" }, line));
}

function brush(svg, axis, i, x, top, bottom) {
  const range = put(svg, "rect", { class: "range", x: x - 9, width: 18 });
  const field = put(svg, "rect", { class: "brush", x: x - 14, width: 28, y: top - 6, height: bottom - top + 12, tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100 });
  const show = () => {
    const [low, high] = ranges.get(i) || [0, 1];
    range.setAttribute("y", bottom - high * (bottom - top));
    range.setAttribute("height", ranges.has(i) ? Math.max(2, (high - low) * (bottom - top)) : 0);
    field.setAttribute("aria-valuenow", Math.round(100 * low));
    field.setAttribute("aria-valuetext", ranges.has(i) ? within(axis, [low, high]) : "all values");
    field.setAttribute("aria-label", `${axis.name}: arrow keys choose a range, with Shift its upper end, Escape all`);
  };
  const set = (low, high) => {
    if (low <= 0 && high >= 1) ranges.delete(i);
    else ranges.set(i, [low, high]);
    show();
    follow();
  };
  const at = (event) => Math.max(0, Math.min(1, (bottom - (event.clientY - svg.getBoundingClientRect().top)) / (bottom - top)));
  let from = null;
  field.addEventListener("pointerdown", (event) => { from = at(event); field.setPointerCapture(event.pointerId); });
  const reach = (to) => set(Math.min(from, to) - 0.01, Math.max(from, to) + 0.01);
  field.addEventListener("pointermove", (event) => { if (from !== null) reach(at(event)); });
  field.addEventListener("pointerup", (event) => {
    if (Math.abs(from - at(event)) < 0.02) set(0, 1);
    else reach(at(event));
    from = null;
  });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
    let [low, high] = ranges.get(i) || [0, 1];
    if (event.key === "Escape") set(0, 1);
    if (!step) return;
    event.preventDefault();
    if (event.shiftKey) high = Math.max(low, Math.min(1, high + step));
    else low = Math.max(0, Math.min(high, low + step));
    set(low, high);
  });
  show();
}
