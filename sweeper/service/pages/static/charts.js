// Lines over training steps, drawn by uPlot in the colours of the style.
const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const resolved = (name) => {
  // light-dark() is resolved by the browser only where a property uses it.
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};
const shown = (value) =>
  value == null
    ? "–"
    : Math.abs(value) >= 1000
      ? value.toLocaleString("en", { maximumFractionDigits: 0 })
      : Number(value.toPrecision(4)).toString().replace("-", "−");

function frame(place, height, axes, scales) {
  const ink = resolved("muted"),
    grid = { stroke: resolved("line"), width: 1 };
  const padding = parseFloat(getComputedStyle(place).paddingLeft);
  const width = Math.max(240, place.clientWidth - 2 * padding);
  const axis = (label) => ({
    stroke: ink,
    grid,
    ticks: grid,
    label,
    labelSize: 22,
    font: "11px system-ui",
    labelFont: "12px system-ui",
  });
  return {
    width,
    height,
    legend: { show: false },
    scales: { x: { time: false }, ...scales },
    axes: [
      {
        ...axis("training step"),
        values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en")),
      },
      {
        ...axis(axes),
        size: 62,
        splits: splitsOf(scales.y),
        values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : shown(tick))),
      },
    ],
    cursor: { focus: { prox: 24 }, drag: { x: true, y: true, uni: 20 } },
    focus: { alpha: 0.25 },
  };
}

// A logarithmic axis of few decades has marks between its powers of ten.
function splitsOf(scale) {
  if (scale?.distr !== 3) return undefined;
  return (_, axis, low, high) => {
    const decades = Math.log10(high / low),
      found = [];
    const between = decades < 1.2 ? [1, 1.5, 2, 3, 5, 7] : decades < 2.4 ? [1, 2, 5] : [1];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const part of between) found.push(part * 10 ** power);
    }
    return found.filter((mark) => mark >= low && mark <= high);
  };
}

function scaleOf(told) {
  if (!told) return {};
  const margin = told.log ? (told.high / told.low) ** 0.05 : 0.06 * (told.high - told.low) || 0.5;
  const range = told.log
    ? [told.low / margin, told.high * margin]
    : [told.low - margin, told.high + margin];
  return {
    y: {
      distr: told.log ? 3 : 1,
      range: (_, low, high) =>
        low > range[0] && high < range[1] && zoomed(low, high, range) ? [low, high] : range,
    },
  };
}
const zoomed = (low, high, range) => high - low < 0.5 * (range[1] - range[0]);

function begin(place, words) {
  place.replaceChildren();
  const canvas = document.createElement("div"),
    whose = document.createElement("div"),
    legend = document.createElement("div");
  whose.className = "whose";
  whose.textContent = words;
  legend.className = "legend";
  place.append(whose, canvas, legend);
  const name = (words, of) => {
    const entry = document.createElement("span");
    entry.textContent = words;
    entry.style.setProperty("--of", of);
    legend.append(entry);
  };
  return { canvas, whose, name };
}

export function overSteps(place, told) {
  // The best and the base are drawn last, above all others.
  const weight = (line) => (line.trial === told.best ? 2 : line.trial === told.base ? 1 : 0);
  const lines = told.lines
    .filter((line) => line.values.length)
    .sort((a, b) => weight(a) - weight(b));
  if (!lines.length && !told.bands) {
    place.textContent = "Nothing has been measured yet.";
    return;
  }
  const { canvas, whose, name } = begin(place, "");
  const axes = `${told.metric} (${told.better})`;
  const bands = told.bands ? bandsOf(told.bands, resolved("completed")) : null;
  const steps = bands ? told.bands.steps : told.steps;
  const data = [
    steps,
    ...(bands ? bands.data : []),
    ...lines.map((line) =>
      bands ? steps.map((step) => line.values[told.steps.indexOf(step)] ?? null) : line.values,
    ),
  ];
  const strokes = lines.map((line) => strokeOf(line, told));
  const options = frame(place, 340, axes, scaleOf(told.scale));
  options.bands = bands?.bands;
  options.series = [
    {},
    ...(bands ? bands.series : []),
    ...lines.map((line, index) => ({
      ...strokes[index],
      label: line.name,
      spanGaps: true,
      points: { show: line.values.filter((value) => value != null).length < 2, size: 5 },
    })),
  ];
  const skipped = 1 + (bands ? bands.series.length : 0);
  let near = null;
  options.hooks = {
    setSeries: [
      (chart, index) => {
        near = index >= skipped ? lines[index - skipped] : null;
        whose.textContent = near
          ? `trial ${near.name}, ${near.words}: ${told.metric} ${shown([...near.values].reverse().find((value) => value != null))}`
          : "";
      },
    ],
  };
  new uPlot(options, data, canvas);
  let at = null;
  canvas.addEventListener("mousedown", (event) => {
    at = [event.clientX, event.clientY];
  });
  canvas.addEventListener("click", (event) => {
    const moved = at && Math.hypot(event.clientX - at[0], event.clientY - at[1]) > 4;
    if (near && !moved) location.assign(place.dataset.trials + near.trial);
  });
  const states = new Map(
    lines.map((line, index) => [line.words, strokes[index]]).filter(([, stroke]) => stroke.plain),
  );
  if (bands)
    name(
      `median of ${Math.max(...told.bands.alive)} trials; bands hold half and nine tenths of them`,
      resolved("completed"),
    );
  for (const [words, stroke] of states) name(words, stroke.stroke);
  for (const [role, of] of [
    ["best", "best"],
    ["base", "ink"],
  ]) {
    const line = lines.find((one) => one.trial === told[role]);
    if (line) name(`${role}: trial ${line.name}`, resolved(of));
  }
}

function strokeOf(line, told) {
  if (line.trial === told.best) return { stroke: resolved("best"), width: 2.5 };
  if (line.trial === told.base) return { stroke: resolved("ink"), width: 2, dash: [8, 4] };
  return {
    stroke: resolved(colour(line.state) ? line.state : "waiting"),
    width: 1.2,
    plain: true,
    alpha: 0.7,
  };
}

function bandsOf(told, stroke) {
  const of = (alpha) => stroke.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);
  return {
    data: told.levels,
    series: told.at.map((level) => ({
      label: `${100 * level}%`,
      stroke: level === 0.5 ? stroke : "transparent",
      width: 2,
      points: { show: false },
    })),
    bands: [
      { series: [5, 1], fill: of(0.15) },
      { series: [4, 2], fill: of(0.25) },
    ],
  };
}

// One trial: a small chart a measure, all over the same steps, their cursors together.
export function ofTrial(place, told) {
  place.replaceChildren();
  if (!told.metrics.length) {
    place.textContent = "Nothing has been measured yet.";
    return;
  }
  const grid = document.createElement("div");
  grid.className = "beside";
  place.append(grid);
  const cells = told.metrics.map(() => document.createElement("div"));
  grid.append(...cells); // all of them first, so that each has its width
  told.metrics.forEach((metric, index) => {
    const cell = cells[index],
      title = document.createElement("div"),
      canvas = document.createElement("div");
    title.className = "whose";
    cell.append(title, canvas);
    const last = [...metric.values].reverse().find((value) => value != null);
    title.textContent = `${metric.name}: ${shown(last)}`;
    const options = frame(cell, 180, "", {});
    options.cursor.sync = { key: "trial" };
    options.axes[0].label = null;
    options.axes[1].label = null;
    options.series = [
      {},
      { stroke: resolved("completed"), width: 2, spanGaps: true, points: { size: 5 } },
    ];
    options.hooks = {
      setCursor: [
        (chart) => {
          const index = chart.cursor.idx;
          title.textContent =
            index == null
              ? `${metric.name}: ${shown(last)}`
              : `${metric.name} at step ${told.steps[index].toLocaleString("en")}: ${shown(metric.values[index])}`;
        },
      ],
    };
    new uPlot(options, [told.steps, metric.values], canvas);
  });
}

// Several sweeps or trials over one another; only what was measured alike comes here.
export function compared(place, told) {
  if (!told.lines.length) {
    place.textContent = "Nothing has been measured yet.";
    return;
  }
  const { canvas, whose, name } = begin(place, "");
  const hues = ["completed", "best", "good", "bad", "running", "ink"].map(resolved);
  const options = frame(place, 340, `${told.metric} (${told.better})`, scaleOf(told.scale));
  options.series = [
    {},
    ...told.lines.map((line, index) => ({
      label: line.name,
      stroke: hues[index % hues.length],
      width: 2,
      spanGaps: true,
      points: { size: 5 },
    })),
  ];
  options.hooks = {
    setSeries: [
      (_, index) => {
        whose.textContent = index ? told.lines[index - 1].name : "";
      },
    ],
  };
  new uPlot(options, [told.steps, ...told.lines.map((line) => line.values)], canvas);
  told.lines.forEach((line, index) => name(line.name, hues[index % hues.length]));
}
