"""The papers' tables: expectations are the papers' own numbers and counts made by hand."""

import json
import pathlib
from decimal import Decimal

import pytest

from mobilenet.errors import UserError
from mobilenet.papers import printed as published
from mobilenet.papers.compare import Verdict, compare
from mobilenet.papers.tables import build_tables

_ROOT = pathlib.Path(__file__).parents[2]

MADDS, PARAMS = "multiply-adds, M", "parameters, M"

# Where the papers and the networks are known to disagree, and a word that the reason must hold.
EXPLAINED = {
    ("v1_2", "Conv 1x1", "parameters, %"): "BatchNorm",
    ("v1_2", "Conv dw 3x3", "parameters, %"): "BatchNorm",
    ("v1_2", "Fully connected", "parameters, %"): "BatchNorm",
    ("v1_4", "Conv MobileNet", MADDS): "classifier",
    ("v1_9", "0.50 MobileNet-160", PARAMS): "BatchNorm",
    ("v2_3", "56x56", "V2 channels"): "not consistent",
    ("v2_3", "56x56", "V2 Kb"): "not consistent",
    ("v2_3", "28x28", "V2 channels"): "not consistent",
    ("v2_3", "28x28", "V2 Kb"): "not consistent",
    ("v2_3", "14x14", "V2 channels"): "not consistent",
    ("v2_3", "14x14", "V2 Kb"): "not consistent",
    ("v2_4", "MobileNetV2", PARAMS): "3.47",
}
DIFFERENT = {
    ("v1_1", "block_13/depthwise", "stride"): "typo",
    ("v1_2", "Conv 3x3", "multiply-adds, %"): "typo",
    ("v2_3", "7x7", "V1 Kb"): "Unexplained",
    ("v2_3", "7x7", "V2 Kb"): "Unexplained",
    ("v2_4", "MobileNetV1", MADDS): "Unexplained",
    ("v2_4", "MobileNetV2 (1.4)", MADDS): "Unexplained",
    ("v2_4", "MobileNetV2 (1.4)", PARAMS): "Unexplained",
}
TRUNCATED = {
    ("v1_7", "1.0 MobileNet-160", MADDS),  # 290.7, printed 290
    ("v1_9", "0.50 MobileNet-160", MADDS),  # 76.5, printed 76
    ("v2_3", "1x1", "V2 Kb"),  # 1280 values of 2 bytes are 2.56, printed 2
    ("v2_4", "MobileNetV2", MADDS),  # 300.8, printed 300
}


@pytest.fixture(scope="module")
def cells():
    """Every cell by the name of its table, its row and its column."""
    return {
        (table.name, row.label, column): cell
        for table in build_tables()
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    }


def _chosen(cells, verdict):
    return {key for key, cell in cells.items() if cell.verdict is verdict}


def test_exactly_the_known_differences_are_marked(cells):
    assert _chosen(cells, Verdict.DIFFERS) == set(DIFFERENT)
    assert _chosen(cells, Verdict.EXPLAINED) == set(EXPLAINED)
    assert _chosen(cells, Verdict.TRUNCATED) == TRUNCATED


def test_every_difference_has_its_reason_and_nothing_else_has_one(cells):
    for key, word in (EXPLAINED | DIFFERENT).items():
        assert word in cells[key].note, key
    assert {key for key, cell in cells.items() if cell.note} == set(EXPLAINED | DIFFERENT)


def test_no_published_value_carries_a_reason_that_is_never_shown(cells):
    shown = {cell.note for cell in cells.values()}

    def values(data):
        if isinstance(data, published.Value):
            yield data
        elif isinstance(data, dict):
            for value in data.values():
                yield from values(value)
        elif isinstance(data, tuple | list):
            for value in data:
                yield from values(value)
        elif hasattr(data, "__dataclass_fields__"):
            yield from values(list(vars(data).values()))

    found = [v for name in dir(published) if name.isupper() for v in values(vars(published)[name])]
    assert len(found) > 200
    assert all(v.reason in shown for v in found if v.reason)


def test_only_what_a_paper_leaves_open_is_not_compared(cells):
    for (table, row, column), cell in cells.items():
        if cell.verdict is Verdict.NOT_COMPARED:
            dash = cell.published in ("-", "k") and table == "v2_2"
            assert dash or column.startswith("ShuffleNet") or row == "largest", (table, row, column)


@pytest.mark.parametrize(
    ("table", "row", "madds", "params"),
    [
        # By the formulas of V1 section 3.1, with DK=3, M=N=512, DF=14.
        ("v1_3", "Convolution", 3 * 3 * 512 * 512 * 14**2, None),
        ("v1_3", "Depthwise separable", (9 * 512 + 512 * 512) * 14**2, None),
        ("v1_3", "width 0.75", (9 * 384 + 384 * 384) * 14**2, None),
        ("v1_3", "resolution 0.714", (9 * 384 + 384 * 384) * 10**2, None),
        # Counted by hand from the tables of layers; V2's equal Keras' and torchvision's totals.
        ("v1_4", "Conv MobileNet", 4_867_293_184, 29_294_088),
        ("v1_4", "MobileNet", 568_740_352, 4_231_976),
        ("v1_5", "Shallow MobileNet", 307_323_392, 2_887_976),
        ("v2_4", "MobileNetV2", 300_774_272, 3_504_872),
        ("v2_4", "MobileNetV2 (1.4)", 582_195_824, 6_108_776),
    ],
)
def test_ours_are_the_true_costs(cells, table, row, madds, params):
    assert cells[table, row, MADDS].exact == madds / 1e6
    if params:
        assert cells[table, row, PARAMS].exact == params / 1e6


@pytest.mark.parametrize(
    ("key", "ours", "explanation", "published"),
    [
        (("v1_4", "Conv MobileNet", MADDS), "4867.3", "4866.3", "4866"),
        (("v1_2", "Fully connected", "parameters, %"), "24.220", "24.328", "24.33"),
        # slim's README prints 3.47; the width .5 without BatchNorm has 1,320,648 parameters.
        (("v2_4", "MobileNetV2", PARAMS), "3.50", "3.47 (truncated)", "3.4"),
        (("v1_9", "0.50 MobileNet-160", PARAMS), "1.332", "1.321", "1.32"),
        # 56 x 56 values of 2 bytes in 24 and in 32 channels.
        (("v2_3", "56x56", "V2 Kb"), "150.5", "200.7", "200"),
        (("v2_3", "14x14", "V2 channels"), "96", "160", "160"),
    ],
)
def test_explanations_give_the_printed_value(cells, key, ours, explanation, published):
    cell = cells[key]
    assert (cell.ours, cell.explanation, cell.published) == (ours, explanation, published)
    assert cell.counting


def test_the_rounding_of_every_agreement_can_be_seen(cells):
    assert cells["v1_6", "0.5 MobileNet-224", MADDS].ours == "149.497"  # 149.5 would look wrong
    assert cells["v1_3", "Depthwise separable", MADDS].ours == "52.28"


def test_the_rows_of_v2_are_those_of_the_paper(cells):
    # V2 table 2; the text of section 4 says 19 where the table has 17.
    columns = ("input", "operator", "t", "c", "n", "s")
    line = tuple(cells["v2_2", "5", column].ours for column in columns)
    assert line == ("28x28x32", "bottleneck", "6", "64", "4", "2")
    (table,) = build_tables(["v2_2"])
    (note,) = (note for note in table.notes if "19" in note)
    assert "17 bottlenecks, 10 of them" in note


def test_memory_of_the_bound_is_in_the_notes():
    # Input and output of two bytes: V1 112x112x32 into 112x112x64, V2 112x112x96 into 56x56x96.
    v1, v2 = (32 + 64) * 112**2 * 2 / 1000, 96 * (112**2 + 56**2) * 2 / 1000
    (table,) = build_tables(["v2_3"])
    assert any(f"{v1:.1f} and {v2:.1f} Kb" in note for note in table.notes)


@pytest.mark.parametrize(
    ("ours", "printed", "zeros_count", "verdict"),
    [
        ("568.74", "569", True, Verdict.AGREES),
        ("290.68", "290", True, Verdict.TRUNCATED),
        ("4867.3", "4866", True, Verdict.DIFFERS),
        ("149.5", "149", True, Verdict.TRUNCATED),
        ("149.5", "150", True, Verdict.AGREES),
        ("0.0219", "0.02", True, Verdict.AGREES),
        ("1605.6", "1600", True, Verdict.DIFFERS),
        ("1605.6", "1600", False, Verdict.AGREES),
        ("1660", "1600", False, Verdict.TRUNCATED),
        ("1700", "1600", False, Verdict.DIFFERS),
        ("802.8", "800", False, Verdict.AGREES),
        ("815", "800", False, Verdict.DIFFERS),
        ("100.4", "199", False, Verdict.DIFFERS),
        ("2.56", "2", False, Verdict.TRUNCATED),
    ],
)
def test_agreement_is_to_the_last_printed_digit(ours, printed, zeros_count, verdict):
    assert compare(Decimal(ours), printed, zeros_count=zeros_count) is verdict


def test_an_unknown_table_is_one_sentence():
    with pytest.raises(UserError, match=r"^'v2_5' is no table: choose from v1_1, .*, v2_4\.$"):
        build_tables(["v1_2", "v2_5"])


_SCRIPT = "scripts/paper_tables.py"


def test_the_script_prints_all_tables_and_what_is_left_out(run_script):
    result = run_script(_SCRIPT)
    assert result.returncode == 0, result.stderr
    assert "V2 tables 5 to 7: SSDLite and DeepLabv3" in result.stdout
    line = next(x for x in result.stdout.splitlines() if x.startswith("Conv MobileNet"))
    assert line.split() == ["Conv", "MobileNet", "4867.3", "4866", "~", "[1]", "29.29", "29.3", "="]
    assert "  [1] 4866.3 without the classifier. " in result.stdout


def test_the_script_prints_chosen_tables_as_json(run_script):
    result = run_script(_SCRIPT, "--tables=v2_4,v1_7", "--format=json")
    assert result.returncode == 0, result.stderr
    tables = json.loads(result.stdout)["tables"]
    assert [table["name"] for table in tables] == ["v2_4", "v1_7"]
    cell = tables[0]["rows"][0]["cells"][0]
    assert (cell["ours"], cell["published"], cell["verdict"]) == ("568.7", "575", "differs")


def test_the_script_prints_markdown_of_equal_columns(run_script):
    result = run_script(_SCRIPT, "--tables=v1_4", "--format=markdown")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| Conv MobileNet | 4867.3 | 4866 | ~ [1] | 29.29 | 29.3 | = |" in lines


def test_the_script_answers_a_wrong_name_in_one_sentence(run_script):
    result = run_script(_SCRIPT, "--tables=v1_12")
    assert result.returncode == 1
    assert result.stderr.startswith("error: 'v1_12' is no table: choose from v1_1, ")
    assert len(result.stderr.splitlines()) == 1
