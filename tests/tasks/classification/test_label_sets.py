"""Labels that are sets: how they are read, and what counts as right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mobilenet.data.datasets import open_split
from mobilenet.data.pipeline import eval_batches
from mobilenet.tasks.classification.classification import label_of, score_batch
from tests.helpers import label_sets
from tests.helpers.small_config import get_config

_SETS = [(2,), (), (0, 1), (0, 1, 2), ()]


@pytest.fixture
def real(data_dir, tmp_path):
    """`config.data` of a dataset of five images, whose own labels are 0, 1, 2, 0, 1."""
    data = get_config().data
    data.data_dir = str(data_dir)
    source = open_split(data, "test").source
    images = [(source[i].image, source[i].label) for i in range(len(_SETS))]
    label_sets.write_label_sets(tmp_path, images, _SETS)
    data.update(name=label_sets.NAME, data_dir=str(tmp_path))
    return data


def test_sets_are_read_beside_the_original_label_and_batched(real, config):
    split = open_split(real, "validation")
    assert split.has_label_sets
    assert split.class_names == ("horizontal", "vertical", "plain")
    assert [split.source[i].label_set for i in range(5)] == _SETS
    assert [split.source[i].label for i in range(5)] == [0, 1, 2, 0, 1]
    assert split.source[3].file_name == "3"
    (batch,) = eval_batches(split, real, (16, 16), 6, label_of)
    expected = [[0, 0, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(batch["label_sets"], np.asarray(expected, bool))
    # An empty set does not mask an image: the padding at the end is another thing.
    np.testing.assert_array_equal(batch["mask"], [1, 1, 1, 1, 1, 0])

    without = open_split(config.data, "test")
    assert not without.has_label_sets
    assert without.source[0].label_set is None
    assert "label_sets" not in next(eval_batches(without, config.data, (16, 16), 24, label_of))


def test_an_image_is_right_if_the_first_class_is_in_its_set():
    rng = np.random.default_rng(0)
    images, classes = 40, 9
    logits = rng.permuted(np.tile(np.arange(classes), (images, 1)), axis=1).astype(np.float32)
    sets = rng.random((images, classes)) < 0.2
    mask = np.arange(images) < 33
    batch = {
        # Never looked at.
        "labels": np.zeros(images, np.int32),
        "mask": mask.astype(np.float32),
        "label_sets": sets,
    }
    sums = jax.jit(score_batch)(jnp.asarray(logits), jax.tree.map(jnp.asarray, batch))

    top1 = top5 = counted = 0
    loss = 0.0
    for row, right, is_image in zip(logits.astype(np.float64), sets, mask, strict=True):
        if not (is_image and right.any()):
            continue
        order = np.argsort(-row)
        counted += 1
        top1 += int(right[order[0]])
        top5 += int(right[order[:5]].any())
        loss += np.log(np.exp(row).sum()) - row[right].max()
    assert 0 < top1 < top5 < counted < 33
    assert (sums["top1"], sums["top5"], sums["images"]) == (top1, top5, counted)
    assert sums["unlabelled"] == 33 - counted
    np.testing.assert_allclose(sums["loss"], loss, rtol=1e-5)
    assert "predictions" not in sums


def test_a_network_that_diverged_is_never_right():
    batch = {
        "labels": jnp.zeros(2, jnp.int32),
        "mask": jnp.ones(2, jnp.float32),
        "label_sets": jnp.asarray([[True, False], [True, True]]),
    }
    sums = jax.jit(score_batch)(jnp.full((2, 2), jnp.nan), batch)
    assert (sums["top1"], sums["top5"], sums["images"]) == (0, 0, 2)
