// Parallel coordinates: a line a trial over all searched parameters to the objective. Lines are on a
// canvas (thousands of them), axes and brushes in SVG above it.
const SVG = "http://www.w3.org/2000/svg";
const make = (name, given = {}, text = "") => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
};
const number = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");
const brushes = new WeakMap(); // place → index of axis → [low, high]: they outlive a redraw

export function parallel(place, told) {
  if (!told.rows.length) {
    place.textContent = "No trial has completed yet.";
    return;
  }
  if (!brushes.has(place)) brushes.set(place, new Map());
  const kept = brushes.get(place);
  place.replaceChildren();
  const whose = document.createElement("div");
  whose.className = "whose";
  whose.setAttribute("aria-live", "polite");
  const stage = document.createElement("div"),
    canvas = document.createElement("canvas");
  stage.style.cssText = "position: relative; overflow-x: auto";
  const width = Math.max(place.clientWidth - 22, 96 * told.axes.length),
    height = 352;
  canvas.style.cssText = `width: ${width}px; height: ${height}px; position: absolute; top: 0; left: 0`;
  const svg = make("svg", {
    class: "parallel",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "group",
    "aria-label": "Axes that can be brushed",
  });
  svg.style.cssText = `width: ${width}px; max-width: none; position: relative`;
  stage.append(canvas, svg);
  place.append(whose, stage);

  const top = 46, // two rows of names, and the words of the highest value below them
    bottom = height - 22,
    edge = 52;
  const xs = told.axes.map(
    (_, index) => edge + (index * (width - 2 * edge)) / Math.max(1, told.axes.length - 1),
  );
  const y = (share) => bottom - share * (bottom - top);
  const share = (at) => Math.min(1, Math.max(0, (bottom - at) / (bottom - top)));

  const drawLines = () => {
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const passes = (row) =>
      [...kept].every(
        ([axis, [low, high]]) =>
          row.at[axis] != null && row.at[axis] >= low && row.at[axis] <= high,
      );
    const inside = told.rows.filter(passes);
    const style = getComputedStyle(place);
    const faint = told.rows.length > 400 ? 0.04 : 0.12;
    const strong = inside.length > 2000 ? 0.05 : inside.length > 400 ? 0.15 : 0.55;
    if (kept.size) for (const row of told.rows) line(pen, row, style.color, faint);
    for (const row of inside) line(pen, row, hue(row, told), strong);
    const best = told.rows.reduce((a, b) =>
      b.value < a.value === (told.goal === "minimize") ? b : a,
    );
    if (passes(best)) line(pen, best, hue(best, told), 1, 2.6);
    const few = inside
      .slice()
      .sort((a, b) => (told.goal === "minimize" ? a.value - b.value : b.value - a.value))
      .slice(0, 5);
    whose.replaceChildren(
      kept.size
        ? `${inside.length} of ${told.rows.length} trials pass; the best: `
        : `${told.rows.length} trials; the best: `,
    );
    few.forEach((row, index) => {
      const link = document.createElement("a");
      link.href = place.dataset.trials + row.trial;
      link.textContent = `${row.trial} (${number(row.value)})`;
      whose.append(index ? ", " : "", link);
    });
  };
  const line = (pen, row, stroke, alpha, weight = 1.2) => {
    pen.globalAlpha = alpha;
    pen.strokeStyle = stroke;
    pen.lineWidth = weight;
    pen.beginPath();
    let before = null;
    row.at.forEach((at, index) => {
      if (at == null) return;
      before == null ? pen.moveTo(xs[index], y(at)) : pen.lineTo(xs[index], y(at));
      before = index;
    });
    pen.stroke();
  };

  told.axes.forEach((axis, index) => {
    svg.append(make("line", { class: "axis", x1: xs[index], x2: xs[index], y1: top, y2: bottom }));
    const title = axis.name.length > 18 ? "…" + axis.name.slice(-17) : axis.name;
    const label = make("text", { x: xs[index], y: index % 2 ? 12 : 24 }, title);
    label.append(make("title", {}, axis.name));
    svg.append(label);
    const marks = axis.values
      ? axis.values
          .map((name, place) => [name, (place + 0.5) / axis.values.length])
          .filter(
            (_, place) => axis.values.length < 9 || place % Math.ceil(axis.values.length / 8) === 0,
          )
      : [
          [number(axis.low), 0],
          [number(axis.high), 1],
        ];
    for (const [name, at] of marks)
      svg.append(
        make(
          "text",
          {
            class: "tick",
            x: xs[index] - 5,
            y: y(at) + (axis.values ? 4 : at ? -3 : 13),
            "text-anchor": "end",
            style: "text-anchor: end",
          },
          name.length > 9 ? name.slice(0, 8) + "…" : name,
        ),
      );
    const shown = make("rect", {
      class: "brush",
      x: xs[index] - 8,
      width: 16,
      visibility: "hidden",
    });
    const area = make("rect", {
      class: "catch",
      x: xs[index] - 14,
      width: 28,
      y: top - 4,
      height: bottom - top + 8,
      tabindex: 0,
      role: "slider",
      "aria-label": `Range of ${axis.name}`,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    });
    svg.append(shown, area);
    const show = () => {
      const range = kept.get(index);
      area.setAttribute("aria-valuenow", range ? Math.round(100 * range[0]) : 0);
      area.setAttribute(
        "aria-valuetext",
        range
          ? `${Math.round(100 * range[0])}% to ${Math.round(100 * range[1])}% of the axis`
          : "all",
      );
      shown.setAttribute("visibility", range ? "visible" : "hidden");
      if (range) {
        shown.setAttribute("y", y(range[1]));
        shown.setAttribute("height", Math.max(2, y(range[0]) - y(range[1])));
      }
      drawLines();
    };
    brushing(
      area,
      svg,
      share,
      (range) => {
        range ? kept.set(index, range) : kept.delete(index);
        show();
      },
      () => kept.get(index),
    );
    if (kept.has(index)) show();
  });
  drawLines();
}

function brushing(area, svg, share, set, get) {
  let from = null;
  const at = (event) => share(event.clientY - svg.getBoundingClientRect().top);
  area.addEventListener("pointerdown", (event) => {
    from = at(event);
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    if (from != null && Math.abs(at(event) - from) > 0.01)
      set([Math.min(from, at(event)), Math.max(from, at(event))]);
  });
  area.addEventListener("pointerup", (event) => {
    if (Math.abs(at(event) - from) <= 0.01) set(null);
    from = null;
  });
  area.addEventListener("keydown", (event) => {
    const [low, high] = get() ?? [0, 1],
      by = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
    if (event.key === "Escape") set(null);
    else if (by && event.shiftKey) set([low, Math.min(1, Math.max(low, high + by))]);
    else if (by) set([Math.min(high, Math.max(0, low + by)), high]);
    else return;
    event.preventDefault();
  });
}

// From worst (grey) to best (the colour of what completed).
function hue(row, told) {
  const place = row.at[row.at.length - 1],
    good = told.goal === "minimize" ? 1 - place : place;
  return good > 0.85 ? `hsl(22 90% 45%)` : `hsl(204 ${20 + 70 * good}% ${62 - 20 * good}%)`;
}
