"""Every shipped config: complete, locked, as written down, and one that builds its network."""

import importlib
import os
import pathlib

import pytest

from mobilenet import config as base
from mobilenet.errors import ConfigError, UserError
from mobilenet.networks.architecture import (
    ARCHITECTURES,
    create_architecture,
    defaults,
    describe_knobs,
)

_ROOT = pathlib.Path(__file__).parents[1]
_GOLDEN = _ROOT / "tests" / "golden" / "configs"
_EXPERIMENTS = sorted(path.stem for path in (_ROOT / "configs").glob("*.py"))
_NAMES = [*_EXPERIMENTS, "default"]


def _get_config(name):
    if name == "default":
        return base.get_config()
    return importlib.import_module(f"configs.{name}").get_config()


def _flatten(config, prefix=""):
    flat = {}
    for key, value in config.items():
        if hasattr(value, "items"):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@pytest.mark.parametrize("name", _NAMES)
def test_a_config_is_as_written_down(name):
    flat = _flatten(_get_config(name))
    text = "".join(f"{key}: {flat[key]!r}\n" for key in sorted(flat))
    path = _GOLDEN / f"{name}.txt"
    if os.environ.get("REGENERATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: run this test once with REGENERATE_GOLDEN=1."
    assert text == path.read_text(encoding="utf-8"), (
        f"configs/{name}.py has changed. If you meant it, run this test once with "
        f"REGENERATE_GOLDEN=1 and check the diff of {path.name} line by line."
    )


def test_no_written_config_is_left_over():
    assert sorted(path.stem for path in _GOLDEN.glob("*.txt")) == sorted(_NAMES)


@pytest.mark.parametrize("name", _NAMES)
def test_a_config_is_locked_and_has_the_keys_of_the_base(name):
    config = _get_config(name)
    assert config.is_locked
    assert _flatten(config).keys() == _flatten(base.get_config()).keys()


@pytest.mark.parametrize("name", _EXPERIMENTS)
def test_a_config_builds_its_network(name):
    model = {key: value for key, value in _get_config(name).model.items() if value is not None}
    architecture = create_architecture(model.pop("name"), num_classes=10, **model)
    assert architecture.num_classes == 10
    assert architecture.blocks


@pytest.mark.parametrize("name", _EXPERIMENTS)
def test_a_config_has_one_length(name):
    config = _get_config(name)
    assert (config.total_epochs is None) != (config.total_steps is None)


@pytest.mark.parametrize("name", _EXPERIMENTS)
def test_the_docstring_is_the_record_of_the_experiment(name):
    text = importlib.import_module(f"configs.{name}").__doc__
    assert f"python train.py --config=configs/{name}.py --workdir=" in text
    if "not run here" in text.lower():
        return
    # What it ran on, how long it took and how good it became.
    assert "%" in text
    assert "top-1" in text
    assert any(unit in text for unit in ("second", "minute", "hour", "day"))
    assert any(machine in text for machine in ("core", "CPU", "GPU", "TPU"))


def test_every_knob_is_a_config_key_and_has_its_words():
    knobs = {name for family in ARCHITECTURES for name in defaults(family)}
    # The number of classes comes with the data.
    assert set(base.get_config().model) == (knobs - {"num_classes"}) | {"name"}
    assert knobs == set(describe_knobs())


# As the docstring of `base.smoke` lists them.
_SMOKE_KEYS = {
    "batch_size",
    "total_epochs",
    "total_steps",
    "schedule.warmup_epochs",
    "schedule.warmup_steps",
    "evaluation.batch_size",
    "evaluation.every_epochs",
    "evaluation.every_steps",
    "checkpoint.every_epochs",
    "checkpoint.every_steps",
    "data.eval_split",
    "model.norm_group_size",
    "log.every_steps",
}


@pytest.mark.parametrize("name", _EXPERIMENTS)
def test_smoke_shortens_a_config_and_changes_nothing_else(name):
    module = importlib.import_module(f"configs.{name}")
    before, after = _flatten(module.get_config()), _flatten(module.get_config("smoke"))
    assert module.get_config("smoke").is_locked
    changed = {key for key in before if before[key] != after[key]}
    # The learning rate follows the batch size where it refers to it.
    assert changed <= _SMOKE_KEYS | {"schedule.learning_rate"}
    assert (after["total_epochs"], after["total_steps"]) == (None, 2)
    assert after["batch_size"] == 8 * after["optimizer.accumulation_steps"]
    with pytest.raises(UserError, match="has no variant 'quick': leave out the colon"):
        module.get_config("quick")


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("validation", "validation[:16]"),
        ("minival", "train[-16:]"),
        ("test[:50%]", "test[:50%]"),
        ("test+validation", "test+validation"),
    ],
)
def test_smoke_evaluates_few_images(split, expected):
    config = base.get_config()
    config.data.eval_split = split
    config.model.norm_group_size = 32
    config.optimizer.accumulation_steps = 4
    config = base.smoke(config)
    assert config.data.eval_split == expected
    assert (config.model.norm_group_size, config.batch_size) == (1, 32)
    assert (config.schedule.warmup_epochs, config.schedule.warmup_steps) == (None, None)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("augment.mean", (127.5, 127.5), r"config\.augment\.mean is .*: it must be three numbers"),
        ("augment.mean", ("0", "0", "0"), r"config\.augment\.mean is .*: it must be three numbers"),
        ("augment.stddev", (58.0, 0.0, 58.0), r"config\.augment\.stddev is .* above 0"),
        ("augment.stddev", (58.0, float("nan"), 58.0), r"config\.augment\.stddev is nan"),
        ("schedule.base_learning_rate", float("inf"), r"base_learning_rate is inf: .* finite"),
    ],
)
def test_numbers_that_are_none_are_refused(key, value, message):
    config = _settled()
    group, name = key.split(".")
    config[group][name] = value
    with pytest.raises(ConfigError, match=message):
        base.check_numbers(config)


def test_a_deviation_for_pixels_to_one_gives_a_warning(caplog):
    config = _settled()
    base.check_numbers(config)
    assert not caplog.records
    config.augment.stddev = (0.229, 0.224, 0.225)
    base.check_numbers(config)
    assert "multiply mean and deviation by 255" in caplog.text


@pytest.mark.parametrize("value", ["96", 96.5, (96,), (96, 64.5), True, -5, 0])
def test_a_training_resolution_that_is_none_is_named(value):
    config = base.get_config().unlock()
    with config.ignore_type():
        config.data.train_resolution = value
    with pytest.raises(ConfigError, match=r"config\.data\.train_resolution is "):
        base.train_size(config)


def test_training_images_have_the_size_of_the_network_unless_another_is_given():
    config = base.get_config().unlock()
    config.model.resolution = 96
    assert base.train_size(config) == (96, 96)
    with config.ignore_type():
        config.data.train_resolution = (64, 32)
    assert base.train_size(config) == (64, 32)


def _settled():
    config = base.get_config().unlock()
    config.augment.mean = config.augment.stddev = (127.5, 127.5, 127.5)
    return config


@pytest.mark.parametrize("resolution", [224, (224, 160), [224, 160]], ids=str)
def test_a_resolution_is_the_side_of_a_square_or_a_height_and_a_width(resolution):
    assert base.size_of(resolution) == (224, 224 if resolution == 224 else 160)
