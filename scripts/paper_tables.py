"""Prints the tables of both papers that follow from the architecture alone, ours beside theirs.

python scripts/paper_tables.py
python scripts/paper_tables.py --tables=v1_4,v2_3 --format=markdown
"""

import collections
import dataclasses
import json
import textwrap

from absl import flags

from mobilenet.papers.compare import Cell, Verdict
from mobilenet.papers.printed import LEFT_OUT
from mobilenet.papers.tables import Table, build_tables
from mobilenet.runtime.entry_point import run
from mobilenet.runtime.formatting import format_table

_TABLES = flags.DEFINE_list("tables", None, "Such as v1_2,v2_4; by default all.")
_FORMAT = flags.DEFINE_enum("format", "table", ["table", "markdown", "json"], "What to print.")

_MARKS = {
    Verdict.AGREES: "=",
    Verdict.TRUNCATED: "t",
    Verdict.EXPLAINED: "~",
    Verdict.DIFFERS: "!",
    Verdict.NOT_COMPARED: "",
}
_LEGEND = (
    "= ours rounds to the printed value",
    "t ours is the printed value when truncated",
    "~ ours is the printed value when counted as the note says",
    "! ours is another value",
    "no mark: nothing to compare",
)


def main() -> None:
    tables = build_tables(_TABLES.value or ())
    left_out = () if _TABLES.value else LEFT_OUT
    if _FORMAT.value == "json":
        objects = [dataclasses.asdict(table) for table in tables]
        print(json.dumps({"tables": objects, "left_out": left_out}))
        return
    markdown = _FORMAT.value == "markdown"
    legend = "\n".join(f"- {x}" if markdown else f"  {x}" for x in _LEGEND)
    parts = [_markdown(table) if markdown else _text(table) for table in tables]
    missing = "\n".join(["Not here:", *(f"- {x}" if markdown else f"  {x}" for x in left_out)])
    print("\n\n".join([legend, *parts, *([missing] if left_out else []), _count(tables)]))


def _count(tables: list[Table]) -> str:
    counts = collections.Counter(
        cell.verdict for table in tables for row in table.rows for cell in row.cells
    )
    counts.pop(Verdict.NOT_COMPARED, None)
    each = ", ".join(
        f"{counts[verdict]} {_MARKS[verdict]}" for verdict in Verdict if _MARKS[verdict]
    )
    return f"Of {counts.total()} values: {each}"


def _marked(table: Table) -> tuple[list[list[str]], list[str]]:
    """Returns label, then ours, paper's and mark of every cell, row by row; and numbered notes.

    Cells that differ for the same reason share a note.
    """
    notes: dict[tuple[str, str], list[str]] = {}

    def mark(cell: Cell) -> str:
        if not cell.note:
            return _MARKS[cell.verdict]
        key = (cell.counting, cell.note)
        notes.setdefault(key, []).append(cell.explanation)
        return f"{_MARKS[cell.verdict]} [{list(notes).index(key) + 1}]"

    rows = [
        [row.label, *(x for cell in row.cells for x in (cell.ours, cell.published, mark(cell)))]
        for row in table.rows
    ]
    return rows, [
        f"[{number}] {', '.join(values)} {counting}. {note}" if counting else f"[{number}] {note}"
        for number, ((counting, note), values) in enumerate(notes.items(), 1)
    ]


def _text(table: Table) -> str:
    rows, notes = _marked(table)
    titles = ["", *(x for title in table.columns for x in ("", title, ""))]
    whose = ["", *("ours", "paper", "") * len(table.columns)]
    body = format_table([titles, whose, *rows], "l" + "rrl" * len(table.columns))
    indented = [
        textwrap.fill(note, 98, initial_indent="  ", subsequent_indent="    ")
        for note in (*notes, *table.notes)
    ]
    return "\n".join([f"{table.name}  {table.title}", body, *indented])


def _markdown(table: Table) -> str:
    rows, notes = _marked(table)
    header = ["", *(x for title in table.columns for x in (f"{title}, ours", "paper", ""))]
    rule = ["---", *("---:", "---:", "---") * len(table.columns)]
    body = [f"| {' | '.join(line)} |" for line in (header, rule, *rows)]
    bullets = [f"- {note}" for note in (*notes, *table.notes)]
    return "\n".join([f"### {table.title}", "", *body, *(["", *bullets] if bullets else [])])


if __name__ == "__main__":
    run(main)
