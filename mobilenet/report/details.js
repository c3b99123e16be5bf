// Curves and config of one group.

// Fills the section of details; call it again after the width changed.
function showDetails(group) {
  document.getElementById("details-title").textContent = group.label;
  fillList("facts", [
    ["top-1", `${group.facts.top1} %`],
    ["seeds", group.facts.seeds],
    ["parameters", group.facts["exact params"]],
    ["multiply-adds", group.facts["exact madds"]],
    ["time of a run", group.facts.seconds],
  ]);
  const differing = Object.entries(group.differing);
  fillList("differing", differing.length ? differing : [["nothing", "there is one configuration"]]);
  fillList("config", Object.entries(group.config));
  drawCurves(group);
}

function fillList(id, pairs) {
  const entries = pairs.map(([name, value]) =>
    html("div", "", html("dt", "", name), html("dd", "", value)),
  );
  document.getElementById(id).replaceChildren(...entries);
}

function drawCurves(group) {
  const points = group.runs.flatMap((run) => [...run.evaluation, ...run.loss]);
  const end = Math.max(1, ...points.map((point) => point[0]));
  const scores = group.runs.map((run) => run.evaluation);
  drawCurve("evaluation", "Top-1 at evaluations (%)", scores, { end, extent: 2 });
  const reports = Math.max(...group.runs.map((run) => run.reports));
  const means = reports > 1 ? `, means of ${reports} reports` : "";
  const losses = group.runs.map((run) => run.loss);
  drawCurve("loss", `Training loss${means}`, losses, { end, extent: 0.1 });
  const entries = group.runs.map((run, index) => {
    const top1 = run.top1 === null ? "not finite" : `${run.top1.toFixed(2)} %`;
    const stroke = svg("path", { class: "line", d: "M0 6H18" });
    return legendEntry(seedClass(index), stroke, `seed ${run.seed}: ${top1}`);
  });
  document.getElementById("seeds").replaceChildren(...entries);
}

// Six colours, then the same dashed.
function seedClass(index) {
  return `seed-${index % 6}${index < 6 ? "" : " dashed"}`;
}

// Draws one line for each run; every line is a list of [step, value or null].
function drawCurve(id, title, lines, { end, extent }) {
  const values = lines.flat().map((point) => point[1]);
  const finite = values.filter((value) => value !== null);
  const gaps = finite.length < values.length ? " – gaps are values that are not finite" : "";
  document.getElementById(`${id}-title`).textContent = title + gaps;
  const container = document.getElementById(id);
  if (!finite.length) {
    container.replaceChildren(html("p", "quiet", "Nothing was recorded."));
    return;
  }
  const chart = drawAxes(container, {
    height: 170,
    label: `${title}, one line for each seed`,
    x: { bounds: [0, end], label: "step" },
    y: { bounds: bounds(finite, extent), label: "" },
  });
  lines.forEach((points, index) => {
    const line = svg("g", { class: seedClass(index) });
    line.append(svg("path", { class: "line", d: linePath(points, chart.xScale, chart.yScale) }));
    const dots = points.length <= 30 ? points.filter((point) => point[1] !== null) : [];
    for (const [x, y] of dots) {
      const at = { cx: chart.xScale(x), cy: chart.yScale(y) };
      line.append(svg("circle", { class: "mark", r: 2.5, ...at }));
    }
    chart.root.append(line);
  });
}
