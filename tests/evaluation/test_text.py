"""Metrics in words, and tables that begin with what is worst."""

from mobilenet.evaluation.text import describe_metrics, format_tables

_CLASSES = [
    {"label": 0, "name": "ant", "images": 4, "top1": 0.75},
    {"label": 1, "name": "bee", "images": 3, "top1": 1 / 3},
    {"label": 2, "name": "dog", "images": 0, "top1": None},
]


def test_shares_are_percent_and_losses_are_not():
    metrics = {"top1": 0.5, "mean_iou": 0.25, "loss": 1.5, "num_images": 1200, "split": "test"}
    words = describe_metrics({**metrics, "images_per_second": 3.0})
    assert words == "top-1 50.00%  mean iou 25.00%  loss 1.5000  1,200 images"
    assert describe_metrics({"num_images": 2, "unlabelled_images": 1}) == (
        "2 images (1 without a label left out)"
    )


def test_a_table_with_the_score_begins_with_the_worst():
    pairs = [{"from": "bee", "to": "ant", "count": 2, "share": 2 / 3}] * 30
    text = format_tables({"classes": _CLASSES, "confusions": pairs}, "top1")
    lines = [line.split() for line in text.splitlines()]
    assert lines[:5] == [
        ["classes"],
        ["label", "name", "images", "top-1"],
        ["1", "bee", "3", "33.33%"],
        ["0", "ant", "4", "75.00%"],
        ["2", "dog", "0", "none"],
    ]
    assert lines[6:9] == [
        ["confusions"],
        ["from", "to", "count", "share"],
        ["bee", "ant", "2", "66.67%"],
    ]
    assert len(lines) == 8 + 20  # the most frequent ones
