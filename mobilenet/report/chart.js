// What all charts are made of: elements, scales, ticks, axes and marks.

const SVG = document.querySelector("svg").namespaceURI;

// Returns an SVG element; text and attributes are never parsed as markup.
function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Returns an HTML element of a class that holds some text or elements.
function html(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function linearScale([low, high], [start, end]) {
  return (value) => start + ((value - low) / (high - low || 1)) * (end - start);
}

function logScale([low, high], range) {
  const scale = linearScale([Math.log10(low), Math.log10(high)], range);
  return (value) => scale(Math.log10(value));
}

// Returns about `count` round numbers between two bounds.
function linearTicks([low, high], count) {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    ticks.push(Number((k * step).toPrecision(12)));
  }
  return ticks;
}

// Returns the powers of ten between two bounds; twice and five times them too if there is room.
function logTicks([low, high], pixels) {
  const decades = Math.log10(high / low);
  const digits = pixels / decades < 95 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    ticks.push(...digits.map((digit) => Number((digit * 10 ** power).toPrecision(3))));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

// Returns the bounds of some numbers with a margin, at least an extent apart.
function bounds(values, extent) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const room = Math.max(0.08 * (high - low), (extent - (high - low)) / 2);
  return [low - room, high + room];
}

// Replaces what a container holds by an empty chart with axes, and returns it with its scales.
// `x` and `y` are {bounds, label, log?}.
function drawAxes(container, { height, x, y, label }) {
  const width = Math.max(240, container.clientWidth);
  const area = { left: 48, right: width - 12, top: y.label ? 24 : 8, bottom: height - 40 };
  const xScale = (x.log ? logScale : linearScale)(x.bounds, [area.left, area.right]);
  const yScale = linearScale(y.bounds, [area.bottom, area.top]);
  const viewBox = `0 0 ${width} ${height}`;
  const root = svg("svg", { viewBox, role: "group", "aria-label": label });
  const axes = svg("g", { class: "axes", "aria-hidden": "true" });
  const yTicks = linearTicks(y.bounds, Math.floor(height / 45));
  for (const tick of yTicks) {
    const at = yScale(tick);
    axes.append(
      svg("line", { x1: area.left, x2: area.right, y1: at, y2: at }),
      svg("text", { x: area.left - 8, y: at + 4, "text-anchor": "end" }, format(tick)),
    );
  }
  const xTicks = x.log
    ? logTicks(x.bounds, area.right - area.left)
    : linearTicks(x.bounds, Math.floor(width / 80));
  for (const tick of xTicks) {
    const at = xScale(tick);
    axes.append(
      svg("line", { x1: at, x2: at, y1: area.bottom, y2: area.bottom + 4 }),
      svg("text", { x: at, y: area.bottom + 17, "text-anchor": "middle" }, format(tick)),
    );
  }
  axes.append(
    svg("line", { class: "base", x1: area.left, x2: area.right, y1: area.bottom, y2: area.bottom }),
    svg("text", { class: "name", x: area.left - 40, y: 12 }, y.label),
    svg("text", { class: "name", x: area.right, y: height - 5, "text-anchor": "end" }, x.label),
  );
  root.append(axes);
  container.replaceChildren(root);
  return { root, xScale, yScale, area };
}

// Returns a short text: 12,000 is "12k", 0.30000000000000004 is "0.3".
function format(value) {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(6))}M`;
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(6))}k`;
  return String(Number(value.toPrecision(6)));
}

// Returns the path through [x, y] pairs, interrupted where a y is null.
function linePath(points, xScale, yScale) {
  let isDown = false;
  return points
    .map(([x, y]) => {
      const move = isDown ? "L" : "M";
      isDown = y !== null;
      return isDown ? `${move}${xScale(x).toFixed(1)} ${yScale(y).toFixed(1)}` : "";
    })
    .join("");
}

// Returns the marker of a network family, round for V1 and square for any other.
function marker(family, x, y, size) {
  return family === "V1"
    ? svg("circle", { class: "mark", cx: x, cy: y, r: size })
    : svg("rect", { class: "mark", x: x - size, y: y - size, width: 2 * size, height: 2 * size });
}

// Returns the class that colours what belongs to a family.
function familyClass(family) {
  return family === "V1" ? "v1" : "v2";
}

// Returns an entry of a legend: a small drawing and its text.
function legendEntry(className, drawing, text) {
  const sample = svg("svg", { class: className, width: 18, height: 12, "aria-hidden": "true" });
  sample.append(drawing);
  return html("span", "entry", sample, text);
}
