import dataclasses
import functools
import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest
import simplejpeg
from grain.multiprocessing import SharedMemoryArray

from mobilenet.data.datasets import open_split
from mobilenet.data.images import CorruptImageError
from mobilenet.data.pipeline import eval_batches, train_batches
from mobilenet.data.policy import TrivialAugmentWide
from mobilenet.data.records import Record
from mobilenet.errors import ConfigError
from mobilenet.tasks.classification.classification import label_of
from tests.helpers import toy_dataset
from tests.helpers.toy_dataset import TEST, TRAIN, constant, png

SIZE = (8, 8)
policies = pytest.mark.parametrize("policy", [None, TrivialAugmentWide()])


def take(iterator, count: int | None = None) -> list[dict[str, np.ndarray]]:
    batches = list(itertools.islice(iterator, count))
    iterator.close()
    return batches


def train(config, count=6, batch_size=8, seed=3, **options):
    split = open_split(config, "train")
    return take(train_batches(split, config, SIZE, batch_size, seed, label_of, **options), count)


def evaluate(config, batch_size, split="test", **options):
    opened = open_split(config, split)
    return take(eval_batches(opened, config, SIZE, batch_size, label_of, **options))


def assert_equal(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def indices(batches) -> list[int]:
    """Which records the constant images are."""
    return [(int(image[0, 0, 0]) - 1) // 5 for batch in batches for image in batch["images"]]


def concatenate(batches) -> dict[str, np.ndarray]:
    """One batch of several, as a mesh puts those of the hosts together."""
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def random_crops(config):
    config.update(name="toy", train_crop="pad_crop", crop_padding=3)
    return config


def test_shapes_and_types(config):
    (batch,) = train(config, 1)
    assert {key: (value.shape, value.dtype.name) for key, value in batch.items()} == {
        "images": ((8, 8, 8, 3), "uint8"),
        "labels": ((8,), "int32"),
        "mask": ((8,), "float32"),
    }
    (evaluated,) = evaluate(config, 16)
    assert {key: value.dtype.name for key, value in evaluated.items()} == {
        key: value.dtype.name for key, value in batch.items()
    }


def test_an_epoch_holds_every_record_once_and_the_next_is_shuffled_anew(config):
    batches = train(config, count=2 * TRAIN, batch_size=1)
    order = indices(batches)
    assert sorted(order[:TRAIN]) == sorted(order[TRAIN:]) == list(range(TRAIN))
    assert order[:TRAIN] != order[TRAIN:]
    assert order[:TRAIN] != sorted(order[:TRAIN])
    assert [int(batch["labels"][0]) for batch in batches] == [index % 3 for index in order]
    for batch, index in zip(batches, order, strict=True):
        np.testing.assert_array_equal(batch["images"][0], constant(index)[:8, :8])


def test_every_epoch_and_every_seed_crops_anew(config):
    config = random_crops(config)
    epochs = train(config, count=4 * TRAIN, batch_size=1)
    seen = {}
    for batch in epochs:
        seen.setdefault(int(batch["images"].max()), set()).add(batch["images"].tobytes())
    assert np.mean([len(crops) for crops in seen.values()]) > 3
    other = train(config, seed=4)
    assert not np.array_equal(other[0]["images"], train(config)[0]["images"])


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """The folder of `photographs`: noise of several sizes, most of it as sequential JPEG."""
    rng = np.random.default_rng(0)
    files = []
    for index in range(TRAIN):
        image = rng.integers(0, 256, (40 + 3 * index, 100 - 2 * index, 3), np.uint8)
        is_png = index % 5 == 0
        files.append(png(image) if is_png else simplejpeg.encode_jpeg(image, 90, "RGB", "420"))
    folder = tmp_path_factory.mktemp("photographs")
    toy_dataset.write(folder, "photographs", {"train": files})
    return str(folder)


def test_images_may_be_rectangles(config, photographs):
    config.update(name="photographs", data_dir=photographs)
    split = open_split(config, "train")
    for batches in (
        train_batches(split, config, (24, 36), 4, 0, label_of),
        eval_batches(split, config, (24, 36), 4, label_of),
    ):
        (batch,) = take(batches, 1)
        assert batch["images"].shape == (4, 24, 36, 3)
        assert batch["images"].std((1, 2, 3)).min() > 0


def test_decoding_no_further_than_the_crop_does_not_change_the_stream(config, photographs):
    config.update(name="photographs", data_dir=photographs, train_crop="inception")
    config.decoder = "opencv"  # always decodes all of it
    want = train(config)
    config.decoder = "simplejpeg"
    assert_equal(train(config), want)
    assert all(batch["images"].std((1, 2, 3)).min() > 0 for batch in want)


def test_the_size_of_batches_does_not_change_the_stream(config):
    config = random_crops(config)
    large, small = train(config, count=3, batch_size=8), train(config, count=6, batch_size=4)
    assert_equal([concatenate(large)], [concatenate(small)])


@policies
@pytest.mark.parametrize("threads", [2, 4])
def test_threads_do_not_change_the_stream(config, threads, policy):
    config = random_crops(config)
    config.num_threads = 1
    want = train(config, policy=policy)
    config.num_threads = threads
    assert_equal(train(config, policy=policy), want)
    config.prefetch_batches = 1
    assert_equal(train(config, policy=policy), want)


@policies
@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_share_out_the_rows_of_one_stream(config, hosts, policy):
    config = random_crops(config)

    training = functools.partial(train, policy=policy)
    for batches in (training, functools.partial(evaluate, batch_size=4)):
        shares = [{"process_index": host, "process_count": hosts} for host in range(hosts)]
        parts = zip(*(batches(config, **share) for share in shares), strict=True)
        assert_equal([concatenate(part) for part in parts], batches(config))


@policies
@pytest.mark.parametrize("start", [1, 5, 20])
def test_resume_at_a_step(config, start, policy):
    config = random_crops(config)
    want = train(config, count=start + 3, policy=policy)[start:]
    assert_equal(train(config, count=3, start_step=start, policy=policy), want)


def test_a_step_far_away_is_reached_at_once(config):
    (batch,) = train(config, count=1, start_step=10**7)
    assert batch["mask"].sum() == 8


@policies
def test_workers_do_not_change_the_stream(config, policy):
    config = random_crops(config)
    want = train(config, count=8, policy=policy)
    config.num_workers = 2
    assert_equal(train(config, count=5, start_step=3, policy=policy), want[3:])


def test_workers_take_no_shared_memory(config, monkeypatch):
    # It would outlive a process that ends in the middle of an epoch.
    monkeypatch.setattr(SharedMemoryArray, "from_metadata", None)
    config.num_workers = 1
    batches = eval_batches(open_split(config, "test"), config, SIZE, 4, label_of)
    assert indices(list(batches))[:TEST] == list(range(TEST))


@pytest.mark.parametrize("hosts", [1, 2, 4])
@pytest.mark.parametrize("batch_size", [4, 8, 12, 40])
def test_evaluation_reads_every_record_once(config, batch_size, hosts):
    parts = [
        evaluate(config, batch_size, process_index=host, process_count=hosts)
        for host in range(hosts)
    ]
    count = -(-TEST // batch_size)
    assert [len(part) for part in parts] == [count] * hosts
    seen = []
    for batch in itertools.chain.from_iterable(parts):
        assert batch["images"].shape == (batch_size // hosts, *SIZE, 3)
        valid = batch["mask"] == 1
        assert set(batch["mask"]) <= {0.0, 1.0}
        assert not batch["images"][~valid].any()
        assert not batch["labels"][~valid].any()
        seen.extend(indices([{"images": batch["images"][valid]}]))
    assert sorted(seen) == list(range(TEST))


def test_evaluation_keeps_the_order(config):
    batches = evaluate(config, 4)
    assert indices(batches)[:TEST] == list(range(TEST))
    labels = np.concatenate([batch["labels"] for batch in batches])
    np.testing.assert_array_equal(labels[:TEST], np.arange(TEST) % 3)
    assert indices(evaluate(config, 3, split="train[5:11]")) == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_is_named(config, workers):
    config.update(name="damaged", num_workers=workers)
    for split, read in (("test", functools.partial(evaluate, batch_size=4)), ("train", train)):
        named = rf"^Image 4 \(4\.png\) of damaged, split '{split}', cannot be read: .*"
        with pytest.raises(
            CorruptImageError, match=named + r"config\.data\.on_corrupt=skip"
        ) as info:
            read(config)
        assert "\n" not in str(info.value)


def test_a_skipped_image_is_masked_in_training_and_moves_nothing(config):
    config = random_crops(config)
    clean = train(config)
    config.update(name="damaged", on_corrupt="skip")
    batches = train(config)
    skipped = 0
    for batch, want in zip(batches, clean, strict=True):
        bad = want["images"].max((1, 2, 3)) == constant(4).max()
        skipped += bad.sum()
        np.testing.assert_array_equal(batch["mask"], np.where(bad, 0, 1))
        for key in batch:
            np.testing.assert_array_equal(batch[key][~bad], want[key][~bad])
            assert not batch[key][bad].any()
    assert skipped >= 2  # six batches of eight are two epochs


def test_a_skipped_image_is_not_counted_in_evaluation(config):
    config.update(name="damaged", on_corrupt="skip")
    batches = evaluate(config, 4)
    assert sum(batch["mask"].sum() for batch in batches) == TEST - 1
    assert indices(batches)[:TEST] == [0, 1, 2, 3, -1, 5, 6, 7, 8]


def test_a_record_without_a_class_is_refused(config):
    class Unlabelled:
        def __len__(self):
            return TEST

        def __getitem__(self, index):
            return Record(png(constant(index)), -1, None)

    split = dataclasses.replace(open_split(config, "test"), source=Unlabelled())
    with pytest.raises(ConfigError, match=r"Image 0 of toy, split 'test', has the label -1"):
        take(eval_batches(split, config, SIZE, 4, label_of))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train_crop", "center"),
        ("eval_crop", "inception"),
        ("decoder", "pillow"),
        ("interpolation", "lanczos"),
        ("on_corrupt", "ignore"),
        ("num_threads", 0),
        ("num_workers", -1),
        ("prefetch_batches", 0),
        ("crop_area", (0.5, 0.1)),
        ("crop_area", (0.5, 1.5)),
        ("crop_aspect", (0.0, 1.0)),
        ("crop_padding", -1),
        ("eval_fraction", 0.0),
        ("eval_fraction", 1.1),
        ("crop_aspect", (0.5, 1.0, 2.0)),
        ("crop_area", ("0.1", "1")),
    ],
    ids=str,
)
def test_a_bad_value_is_refused_at_once_and_named(config, key, value):
    config.train_crop = "pad_crop" if key == "crop_padding" else "inception"
    config[key] = value
    split = open_split(config, "train")
    named = rf"config\.data\.{key} is .*{value if isinstance(value, str) else ''}"
    evaluates = key.startswith("eval")
    function, seed = (eval_batches, ()) if evaluates else (train_batches, (0,))
    with pytest.raises(ConfigError, match=named):
        function(split, config, SIZE, 8, *seed, label_of)


def test_bad_arguments_are_refused_at_once(config):
    split = open_split(config, "train")
    with pytest.raises(ConfigError, match=r"config\.batch_size is 9: .* hosts, 2\."):
        train_batches(split, config, SIZE, 9, 0, label_of, process_count=2)
    with pytest.raises(ConfigError, match=r"config\.evaluation\.batch_size is 0"):
        eval_batches(split, config, SIZE, 0, label_of)
    with pytest.raises(ConfigError, match=r"config\.seed is -1"):
        train_batches(split, config, SIZE, 8, -1, label_of)
    with pytest.raises(ConfigError, match=r"config\.model\.resolution is 0"):
        train_batches(split, config, (8, 0), 8, 0, label_of)
    with pytest.raises(ValueError, match=r"process_index is 2: there are 2 processes"):
        train_batches(split, config, SIZE, 8, 0, label_of, process_index=2, process_count=2)
    with pytest.raises(ValueError, match="start_step is -1"):
        train_batches(split, config, SIZE, 8, 0, label_of, start_step=-1)


def test_a_closed_iterator_gives_no_more(config):
    iterator = train_batches(open_split(config, "train"), config, SIZE, 8, 0, label_of)
    next(iterator)
    iterator.close()
    iterator.close()
    with pytest.raises(ValueError, match="closed"):
        next(iterator)


def test_a_split_can_be_pickled(config):
    split = open_split(config, "train[3:]")
    split.source[0]
    copy = pickle.loads(pickle.dumps(split))
    assert [copy.source[i] for i in range(3)] == [split.source[i] for i in range(3)]


PROGRAM = """
import sys
from mobilenet.config import get_config
from mobilenet.data.datasets import open_split
from mobilenet.tasks.classification.classification import label_of
from mobilenet.data.pipeline import eval_batches, train_batches
if __name__ == "__main__":
    data = get_config().data
    data.update(name="toy", data_dir=sys.argv[1], num_workers=int(sys.argv[2]))
    batches = eval_batches(open_split(data, "test"), data, (8, 8), 4, label_of)
    print(sum(batch["mask"].sum() for batch in batches))
    iterator = train_batches(open_split(data, "train"), data, (8, 8), 8, 0, label_of)
    batch = next(iterator)
    print(type(batch["images"]).__name__)
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_program_may_end_with_batches_under_way(data_dir, tmp_path, workers):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, script, data_dir, str(workers)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "9.0\nndarray\n", "")
