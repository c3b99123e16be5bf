// Sorting and selecting in the table, which Python rendered.

// Makes headers sort and rows open their group.
function makeTable(groups, { onSelect, onHover }) {
  const table = document.getElementById("table");
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = html("button", "", ...header.childNodes);
    button.type = "button";
    button.addEventListener("click", () => sortBy(table, header, column));
    header.append(button);
  });
  for (const row of table.tBodies[0].rows) {
    const index = Number(row.dataset.group);
    const button = html("button", "open", ...row.cells[0].childNodes);
    const family = groups[index].family;
    const sample = svg("svg", { width: 12, height: 12, "aria-hidden": "true" });
    sample.setAttribute("class", `ours ${familyClass(family)}`);
    sample.append(marker(family, 6, 6, 4));
    button.type = "button";
    button.prepend(sample);
    button.setAttribute("aria-label", `Show ${groups[index].label}`);
    row.cells[0].append(button);
    row.addEventListener("click", () => onSelect(index));
    row.addEventListener("pointerenter", () => onHover(index));
    row.addEventListener("pointerleave", () => onHover(null));
  }
  return (selected) => {
    for (const row of table.tBodies[0].rows) {
      const isSelected = Number(row.dataset.group) === selected;
      row.classList.toggle("selected", isSelected);
      row.querySelector("button").setAttribute("aria-pressed", String(isSelected));
    }
  };
}

// Sorts ascending, or descending if the column was ascending already.
function sortBy(table, header, column) {
  const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  const rows = [...table.tBodies[0].rows];
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort((a, b) => compareCells(a.cells[column], b.cells[column], sign));
  table.tBodies[0].append(...rows);
}

function compareCells(a, b, sign) {
  if (!a.closest("td").classList.contains("number")) {
    return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  }
  const [left, right] = [a, b].map((cell) => cell.dataset.number);
  // What is no number comes last in both directions.
  if (left === undefined || right === undefined) {
    return (left === undefined) - (right === undefined);
  }
  return sign * (Number(left) - Number(right));
}
