// Starts the page: one selected group, shown in the chart, the table and the details.

const data = JSON.parse(document.getElementById("data").textContent);
const details = document.getElementById("details");
let selected = null;

function select(index) {
  selected = index;
  chart.select(index);
  markRow(index);
  showDetails(data.groups[index]);
}

function selectAndScroll(index) {
  select(index);
  // On a narrow screen the details are above the table or below the chart.
  const box = details.getBoundingClientRect();
  if (box.bottom < 80 || box.top > innerHeight - 80) details.scrollIntoView();
}

document.getElementById("tradeoff").hidden = false;
details.hidden = false;
const chart = new Tradeoff(data, selectAndScroll);
const markRow = makeTable(data.groups, {
  onSelect: selectAndScroll,
  onHover: (index) => chart.highlight(index),
});
let width = details.clientWidth;
new ResizeObserver(() => {
  if (details.clientWidth === width) return;
  width = details.clientWidth;
  drawCurves(data.groups[selected]);
}).observe(details);
// The best one first; a group whose accuracy is not finite is below all others.
const ranks = data.groups.map((group) => group.top1 ?? -1);
select(ranks.indexOf(Math.max(...ranks)));
