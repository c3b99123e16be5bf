"""An evaluation counts every image once, adds exactly and ends when asked."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.data.datasets import Split
from mobilenet.errors import UserError
from mobilenet.evaluation.evaluate import Interrupted, evaluate
from mobilenet.tasks.classification.classification import score_batch
from mobilenet.tasks.network import build_network
from tests.helpers.small_config import get_config


def _network(eval_step):
    """A network whose evaluation step is another one."""
    return dataclasses.replace(build_network(get_config(), 7), eval_step=eval_step)


def _eval_step(params, batch_stats, batch):
    """The logits are the params' constant rows: images hold the row's number."""
    del batch_stats
    logits = params["table"][batch["images"]]
    return {"read": (batch["mask"] > 0).sum(), **score_batch(logits, batch)}


def _split(num_examples):
    return Split("some", "test", num_examples, 7, tuple("abcdefg"), source=[None])


_ROWS = 40


def _problem(seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.permuted(np.arange(_ROWS * 7).reshape(_ROWS, 7) / 40.0, axis=1)
    return logits.astype(np.float32), rng.integers(0, 7, _ROWS, dtype=np.int32)


def _batches(labels, *, skipped=()):
    """Batches of 16: the last holds 8 images and 8 paddings."""
    for start in range(0, _ROWS, 16):
        indices = np.arange(start, start + 16)
        valid = (indices < _ROWS) & ~np.isin(indices, skipped)
        safe = np.where(valid, indices, 0).astype(np.int32)
        yield {
            "images": safe,
            "labels": np.where(valid, labels[safe], 0).astype(np.int32),
            "mask": valid.astype(np.float32),
        }


def _evaluate(logits, batches, num_examples=_ROWS, on_corrupt="raise", **keys):
    params, split = {"table": jnp.asarray(logits)}, _split(num_examples)
    return evaluate(_network(_eval_step), params, {}, batches, split, on_corrupt=on_corrupt, **keys)


def _expected(logits, labels):
    logits = logits.astype(np.float64)
    order = np.argsort(-logits, axis=1)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return {
        "top1": (order[:, 0] == labels).mean(),
        "top5": (order[:, :5] == labels[:, None]).any(1).mean(),
        "loss": -log_p[np.arange(len(labels)), labels].mean(),
    }


@pytest.mark.parametrize("skipped", [[], [3, 20]])
def test_every_image_counts_once_and_skipped_ones_are_left_out(skipped):
    logits, labels = _problem()
    on_corrupt = "skip" if skipped else "raise"
    result = _evaluate(logits, _batches(labels, skipped=skipped), on_corrupt=on_corrupt)
    assert result["num_images"] == _ROWS - len(skipped)
    assert result["images_per_second"] > 0
    assert result.get("skipped_images") == (len(skipped) or None)
    kept = ~np.isin(np.arange(_ROWS), skipped)
    for name, value in _expected(logits[kept], labels[kept]).items():
        assert result[name] == pytest.approx(value, rel=1e-5), name


def test_a_first_batch_that_is_all_corrupt_does_not_end_an_evaluation_by_class():
    logits, labels = _problem()
    batches = _batches(labels, skipped=range(16))
    result = _evaluate(logits, batches, on_corrupt="skip", per_class=True)
    assert result["top1"] == pytest.approx(_expected(logits[16:], labels[16:])["top1"])
    assert sum(row["images"] for row in result["per_class"]["classes"]) == _ROWS - 16


@pytest.mark.parametrize(
    ("skipped", "extra", "on_corrupt"),
    [([3], 0, "raise"), ([], -1, "raise"), ([], 1, "raise"), (range(_ROWS), 0, "skip")],
)
def test_another_count_than_the_split_has_is_an_error(skipped, extra, on_corrupt):
    logits, labels = _problem()
    batches = _batches(labels, skipped=skipped)
    with pytest.raises(RuntimeError, match=f"counted {_ROWS - len(skipped)} images"):
        _evaluate(logits, batches, num_examples=_ROWS + extra, on_corrupt=on_corrupt)


@pytest.fixture
def watched():
    """Batches, and those that were taken of them so far."""
    taken = []

    def watched(**more):
        for batch in _batches(_problem()[1]):
            taken.append(batch)
            yield {**batch, **more}

    return watched, taken


def test_it_ends_between_batches_when_asked(watched):
    batches, taken = watched
    with pytest.raises(Interrupted):
        _evaluate(_problem()[0], batches(), stop=lambda: len(taken) == 2)
    assert len(taken) == 2


def test_sums_of_many_batches_are_exact():
    # 2**24 + 1 is no float32: a sum in it would lose every image beyond.
    def step(params, batch_stats, batch):
        del params, batch_stats
        size = batch["mask"].sum() * (2**24 if batch["labels"][0] else 0.125)
        return dict.fromkeys(("loss", "top1", "top5", "images", "read"), size)

    batches = (
        {"labels": np.full(8, first, np.int32), "mask": np.ones(8, np.float32)}
        for first in (1, 0, 0, 1)
    )
    result = evaluate(_network(step), {}, {}, batches, _split(2**28 + 2), on_corrupt="raise")
    assert result["num_images"] == 2**28 + 2


def test_classes_that_cannot_be_told_apart_are_refused_with_the_first_batch(watched):
    batches, taken = watched
    with pytest.raises(UserError, match="labels of some are sets"):
        _evaluate(_problem()[0], batches(label_sets=np.ones((16, 7), bool)), per_class=True)
    assert len(taken) == 2  # the second was on its way
