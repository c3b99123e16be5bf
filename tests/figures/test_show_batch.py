"""The picture of a batch: the images and labels that a training step is given."""

import numpy as np
import pytest

from mobilenet.data.datasets import open_split
from mobilenet.data.of_config import train_batches
from mobilenet.errors import ConfigError, UserError
from mobilenet.figures import show_batch
from mobilenet.figures.show_batch import show_batch as draw
from mobilenet.tasks.classification.classification import label_of

_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn: images and captions."""
    seen = {}
    original = show_batch._draw

    def record(images, captions, title, caption):
        figure = original(images, captions, title, caption)
        seen.update(images=images, captions=captions, title=title, caption=caption, figure=figure)
        return figure

    monkeypatch.setattr(show_batch, "_draw", record)
    return seen


def _first_batch(config, step=0):
    split = open_split(config.data, config.data.train_split)
    batches = train_batches(config, split, label_of, start_step=step)
    batch = next(batches)
    batches.close()
    return batch, split.class_names


def test_without_changes_it_is_the_batch_of_the_pipeline(config, tmp_path, drawn):
    config.augment.flip = False
    out = tmp_path / "batch.png"
    assert draw(config, out, step=2) == 16
    assert out.read_bytes().startswith(_PNG)
    batch, names = _first_batch(config, step=2)
    np.testing.assert_array_equal(drawn["images"], batch["images"])
    assert drawn["captions"] == [names[label] for label in batch["labels"]]
    assert "batch 2 of seed 0" in drawn["title"]
    shown = drawn["figure"].axes
    assert [place.get_title() for place in shown] == drawn["captions"]
    for place, image in zip(shown, batch["images"], strict=True):
        np.testing.assert_array_equal(place.images[0].get_array(), image)


def test_mixed_labels_have_their_shares(config, tmp_path, drawn):
    config.augment.update(flip=False, mixup_alpha=1.0)
    config.optimizer.accumulation_steps = 2
    assert draw(config, tmp_path / "batch.png", max_images=8) == 8
    batch, names = _first_batch(config)
    # The first micro-batch: every second image, mixed with the one before it.
    own = batch["labels"][0::2]
    others = np.roll(own, 1)
    images = batch["images"][0::2].astype(float)
    for row, text in enumerate(drawn["captions"]):
        lines = [line.rsplit(" ", 1) for line in text.split("\n")]
        assert [name for name, _ in lines] == [names[own[row]], names[others[row]]]
        share, rest = (float(number) for _, number in lines)
        assert abs(share + rest - 1) < 0.011
        expected = share * images[row] + (1 - share) * np.roll(images, 1, 0)[row]
        # Shares are printed with two digits: 0.005 of 255, and rounding.
        assert np.abs(drawn["images"][row] - expected).max() < 2
    assert "mixup alpha 1.0" in drawn["caption"]
    assert "erase" not in drawn["caption"]


def test_an_evaluation_batch_says_what_is_padding(config, tmp_path, drawn):
    # 24 images in batches of 16: the second is half empty.
    assert draw(config, tmp_path / "batch.svg", split="eval", step=1) == 16
    assert drawn["captions"][8:] == ["(weighs nothing)"] * 8
    assert set(drawn["captions"][:8]) <= {"horizontal", "vertical", "plain"}
    with pytest.raises(UserError, match="--step=2 is behind the last batch of test"):
        draw(config, tmp_path / "batch.svg", split="eval", step=2)


def test_long_names_are_shortened(config, tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(show_batch, "_LETTERS", 6)
    draw(config, tmp_path / "batch.png")
    assert set(drawn["captions"]) <= {"horiz…", "verti…", "plain"}


def test_mistakes_are_sentences(config, tmp_path):
    with pytest.raises(UserError, match=r"must end in \.pdf, \.png"):
        draw(config, tmp_path / "batch.gif")
    with pytest.raises(UserError, match="--step must be at least 0"):
        draw(config, tmp_path / "batch.png", step=-1)
    config.augment.policy = "auto"
    with pytest.raises(ConfigError, match=r"config.augment.policy is 'auto'"):
        draw(config, tmp_path / "batch.png")
    config.augment.policy = "none"
    config.optimizer.accumulation_steps = 3
    with pytest.raises(ConfigError, match="must be a multiple of"):
        draw(config, tmp_path / "batch.png")
