"""The table of the page: real HTML, which reads without JavaScript too."""

import dataclasses
import html
from collections.abc import Sequence
from typing import Any

from mobilenet.report.data import network
from mobilenet.report.text import format_value, short_names
from mobilenet.runs.groups import Group


@dataclasses.dataclass(frozen=True)
class _Cell:
    text: str
    number: float | None = None  # what the column is sorted by, if it holds numbers
    title: str = ""


@dataclasses.dataclass(frozen=True)
class _Column:
    name: str
    cells: list[_Cell]
    title: str = ""

    @property
    def is_numeric(self) -> bool:
        return any(cell.number is not None for cell in self.cells)


def table_html(groups: Sequence[Group], data: Sequence[dict[str, Any]]) -> str:
    """Returns the table's head and body, one row for each group in the given order.

    Args:
      groups: the groups.
      data: the same groups, as `group_data` returns them.
    """
    columns = [*_config_columns(groups), *_result_columns(data)]
    head = "".join(
        f'<th scope="col"{_class(column)}{_title(column.title)}>{html.escape(column.name)}</th>'
        for column in columns
    )
    rows = [
        f'<tr data-group="{index}">'
        + "".join(_td(column, column.cells[index]) for column in columns)
        + "</tr>"
        for index in range(len(groups))
    ]
    return f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>"


def _config_columns(groups: Sequence[Group]) -> list[_Column]:
    names = short_names(list(groups[0].overrides))
    if not names:
        return [_Column("network", [_Cell(network(group)) for group in groups])]
    return [
        _Column(name, [_value_cell(group.overrides[key]) for group in groups], title=key)
        for key, name in names.items()
    ]


def _value_cell(value: Any) -> _Cell:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return _Cell(format_value(value), number=value if is_number else None)


def _result_columns(data: Sequence[dict[str, Any]]) -> list[_Column]:
    def cells(key: str, title: str = "") -> list[_Cell]:
        return [_Cell(g["facts"][key], g[key], title=g["facts"].get(title, "")) for g in data]

    return [
        _Column("params (M)", cells("params", "exact params"), title="parameters in millions"),
        _Column("MAdds (M)", cells("madds", "exact madds"), title="multiply-adds in millions"),
        _Column("top-1 (%)", cells("top1"), title="mean ± standard deviation over seeds"),
        _Column("seeds", [_Cell(str(len(g["runs"])), len(g["runs"])) for g in data]),
        _Column("time", cells("seconds"), title="mean training time of a run"),
    ]


def _td(column: _Column, cell: _Cell) -> str:
    number = "" if cell.number is None else f' data-number="{cell.number!r}"'
    return f"<td{_class(column)}{number}{_title(cell.title)}>{html.escape(cell.text)}</td>"


def _class(column: _Column) -> str:
    return ' class="number"' if column.is_numeric else ""


def _title(title: str) -> str:
    return f' title="{html.escape(title)}"' if title else ""
