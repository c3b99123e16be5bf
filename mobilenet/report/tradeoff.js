// The chart of accuracy over multiply-adds, with a tooltip for each point.

// Draws the chart, and again whenever its width changes.
class Tradeoff {
  constructor({ groups, published }, onSelect) {
    this.groups = groups.map((group, index) => ({ ...group, index }));
    this.published = published;
    this.onSelect = onSelect;
    this.selected = null;
    this.container = document.getElementById("chart");
    this.checkbox = document.getElementById("published");
    this.checkbox.addEventListener("change", () => this.draw());
    this.container.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => {
      if (this.container.clientWidth !== this.width) this.draw();
    }).observe(this.container);
    this.draw();
  }

  draw() {
    hideTooltip();
    this.width = this.container.clientWidth;
    const focused = this.points?.findIndex((point) => point.element === document.activeElement);
    const ours = this.groups.filter((group) => group.top1 !== null && group.madds > 0);
    const shown = this.checkbox.checked ? this.published : [];
    const spread = ours.flatMap((g) => [g.top1 - (g.stddev ?? 0), g.top1 + (g.stddev ?? 0)]);
    const all = [...ours, ...shown];
    this.points = [];
    this.drawLegend(ours, shown);
    if (!all.length) {
      const text = "No run has an accuracy and a cost that are finite.";
      this.container.replaceChildren(html("p", "quiet", text));
      return;
    }
    const costs = all.map((point) => Math.log10(point.madds / 1e6));
    const chart = drawAxes(this.container, {
      height: Math.round(Math.min(440, Math.max(300, this.width * 0.55))),
      label: "Top-1 accuracy over multiply-adds",
      x: {
        // At least a factor of 5, so that there is a tick.
        bounds: bounds(costs, Math.log10(5)).map((exponent) => 10 ** exponent),
        log: true,
        label: "multiply-adds in millions, logarithmic",
      },
      y: { bounds: bounds([...spread, ...shown.map((p) => p.top1)], 2), label: "top-1 (%)" },
    });
    this.drawLines(chart, ours);
    this.points = [
      ...shown.map((point) => this.drawPublished(chart, point)),
      ...ours.map((group) => this.drawGroup(chart, group)),
    ];
    this.points.forEach((point) => chart.root.append(point.element));
    this.points.sort((a, b) => a.madds - b.madds || a.top1 - b.top1);
    this.points[0].element.setAttribute("tabindex", "0");
    if (focused >= 0) this.points[Math.min(focused, this.points.length - 1)].element.focus();
    this.mark();
  }

  drawLines({ root, xScale, yScale }, ours) {
    const lines = new Map();
    for (const group of ours) {
      lines.set(group.line, [...(lines.get(group.line) ?? []), group]);
    }
    for (const groups of lines.values()) {
      const points = groups.map((g) => [g.madds / 1e6, g.top1]).sort((a, b) => a[0] - b[0]);
      if (points.length < 2) continue;
      const line = svg("g", { class: familyClass(groups[0].family), "aria-hidden": "true" });
      line.append(svg("path", { class: "line", d: linePath(points, xScale, yScale) }));
      // Accuracy rises with cost, so there is room to the lower right of a line's end.
      const [x, y] = points.at(-1);
      const at = { class: "width", x: xScale(x) + 10, y: yScale(y) + 17 };
      line.append(svg("text", at, String(groups[0].width)));
      root.append(line);
    }
  }

  drawGroup({ xScale, yScale }, group) {
    const [x, y] = [xScale(group.madds / 1e6), yScale(group.top1)];
    const element = svg("g", { class: `point ours ${familyClass(group.family)}` });
    if (group.stddev) {
      const [top, bottom] = [group.top1 + group.stddev, group.top1 - group.stddev].map(yScale);
      element.append(svg("path", { class: "spread", d: `M${x} ${top}V${bottom}` }));
    }
    element.append(marker(group.family, x, y, group.family === "V1" ? 5.5 : 5));
    const facts = [
      ["multiply-adds", `${group.facts.madds} M`],
      ["parameters", `${group.facts.params} M`],
      ["top-1", `${group.facts.top1} %`],
      ["seeds", group.facts.seeds],
    ];
    const point = { element, madds: group.madds, top1: group.top1, index: group.index, facts };
    element.addEventListener("click", () => this.onSelect(group.index));
    return this.explained(point, group.label, "button", [x, y]);
  }

  drawPublished({ xScale, yScale }, published) {
    const [x, y] = [xScale(published.madds / 1e6), yScale(published.top1)];
    const element = svg("g", { class: "point published" });
    element.append(marker(published.family, x, y, published.family === "V1" ? 4.5 : 4));
    const facts = published.facts;
    const point = { element, madds: published.madds, top1: published.top1, index: null, facts };
    return this.explained(point, `Published: ${published.label}`, "img", [x, y]);
  }

  explained(point, title, role, [x, y]) {
    const { element, facts } = point;
    const said = [title, ...facts.map((fact) => fact.join(" "))].join(", ");
    element.append(svg("circle", { class: "reach", cx: x, cy: y, r: 11 }));
    for (const [name, value] of Object.entries({ tabindex: -1, role, "aria-label": said })) {
      element.setAttribute(name, value);
    }
    const show = () => showTooltip(element, title, facts);
    element.addEventListener("pointerenter", show);
    element.addEventListener("focus", show);
    element.addEventListener("pointerleave", hideTooltip);
    element.addEventListener("blur", hideTooltip);
    return point;
  }

  drawLegend(ours, shown) {
    const families = [...new Set(ours.map((group) => group.family))].sort();
    const entries = families.map((family) =>
      legendEntry(`ours ${familyClass(family)}`, marker(family, 9, 6, 5), `MobileNet${family}`),
    );
    for (const family of [...new Set(shown.map((point) => point.family))].sort()) {
      entries.push(legendEntry("published", marker(family, 9, 6, 4), `${family}, published`));
    }
    document.getElementById("legend").replaceChildren(...entries);
  }

  // Arrow keys move along the points by cost, Enter and the space bar open one.
  onKey(event) {
    const at = this.points.findIndex((point) => point.element === document.activeElement);
    if (at < 0) return;
    const last = this.points.length - 1;
    const target = {
      ArrowRight: Math.min(at + 1, last),
      ArrowUp: Math.min(at + 1, last),
      ArrowLeft: Math.max(at - 1, 0),
      ArrowDown: Math.max(at - 1, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (target !== undefined) {
      this.points[at].element.setAttribute("tabindex", "-1");
      this.points[target].element.setAttribute("tabindex", "0");
      this.points[target].element.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      if (this.points[at].index !== null) this.onSelect(this.points[at].index);
    } else {
      return;
    }
    event.preventDefault();
  }

  select(index) {
    this.selected = index;
    this.mark();
  }

  mark() {
    for (const { element, index } of this.points) {
      if (index !== null) element.setAttribute("aria-pressed", String(index === this.selected));
    }
  }

  // Shows where the group of a table row lies; null for none.
  highlight(index) {
    for (const point of this.points) {
      point.element.classList.toggle("near", index !== null && point.index === index);
    }
  }
}

// Shows facts, pairs of a name and a value, beside an element.
function showTooltip(element, title, facts) {
  const tooltip = document.getElementById("tooltip");
  const list = html("dl", "facts");
  for (const [name, value] of facts) list.append(html("dt", "", name), html("dd", "", value));
  tooltip.replaceChildren(html("strong", "", title), list);
  tooltip.hidden = false;
  // Where it was before must not narrow it.
  tooltip.style.left = "0";
  const box = element.getBoundingClientRect();
  const { width, height } = tooltip.getBoundingClientRect();
  const right = document.documentElement.clientWidth - 8;
  const left = Math.max(8, Math.min(box.right + 6, right - width));
  const above = box.top - height - 6;
  tooltip.style.left = `${left + scrollX}px`;
  tooltip.style.top = `${(above > 8 ? above : box.bottom + 6) + scrollY}px`;
}

function hideTooltip() {
  document.getElementById("tooltip").hidden = true;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTooltip();
});
