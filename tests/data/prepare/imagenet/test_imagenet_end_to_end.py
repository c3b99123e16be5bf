"""From the tars of ImageNet to an accuracy, by the commands of docs/imagenet.md, with a kill."""

import json
import pathlib
import signal

import pytest
import toy_imagenet as toy

from mobilenet.runs.metrics_file import read_metrics

REPOSITORY = pathlib.Path(__file__).parents[4]
INTERRUPTING = REPOSITORY / "tests" / "helpers" / "interrupting.py"
TINY = REPOSITORY / "tests" / "helpers" / "tiny_program.py"
# Five classes of 20, and the two odd files. The last 1 % is one image.
PER_CLASS, TRAIN = 20, 102
# 101 images in batches of 16: an epoch is 6.3 steps.
FIRST_EPOCH, SECOND_EPOCH, STEPS = 6, 12, 13

# Besides, the network is cut down by tiny_program.py; all else is the recipe's.
SMALL = (
    "--config.total_epochs=2.0",
    "--config.batch_size=16",
    "--config.compute_dtype=float32",
    "--config.model.depth=shallow",
    "--config.model.width=0.25",
    "--config.model.resolution=16",
    "--config.data.train_split=train_without_minival",
    "--config.data.eval_split=minival",
    "--config.evaluation.batch_size=4",
    "--config.log.every_steps=1",
    "--config.log.tensorboard=false",
)


@pytest.fixture(scope="module")
def finish(run_script):
    """Runs a script to its end: its exit status, its output and its errors."""

    def run(script, *arguments):
        done = run_script(script, *arguments)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, finish) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("imagenet")
    toy.make_tars(folder / "tars", train=toy.train_images(PER_CLASS))
    code, output, errors = finish(
        "scripts/prepare_imagenet.py",
        f"--input={folder / 'tars'}",
        f"--data_dir={folder / 'tfds'}",
        "--num_workers=1",
        "--allow_partial",
    )
    assert code == 0, errors
    assert f"{TRAIN} train, 5 validation images, 2 encoded again as RGB" in output
    return folder / "tfds"


def test_nothing_but_the_missing_images_is_a_fault(data_dir, finish):
    code, output, errors = finish(
        "scripts/check_data.py", "--data=imagenet2012", f"--data_dir={data_dir}", "--full"
    )
    assert code == 1, errors
    faults = [line.split(maxsplit=1)[1] for line in output.splitlines() if "  FAULT" in line]
    assert faults == [
        f"it has {TRAIN} images, and 1,281,167 as published",
        "995 of 1,000 classes have no image",
        "it has 5 images, and 50,000 as published",
        "995 of 1,000 classes have no image",
    ]


def test_a_recipe_is_killed_goes_on_and_is_evaluated(data_dir, finish, tmp_path):
    run = tmp_path / "run"
    command = (
        f"--config={REPOSITORY / 'configs' / 'imagenet_v1.py'}",
        *SMALL,
        f"--config.data.data_dir={data_dir}",
        f"--workdir={run}",
    )
    # When everything of the second checkpoint is written but its name.
    code, output, errors = finish(TINY, INTERRUPTING, "SIGKILL", "save", SECOND_EPOCH, *command)
    assert (code, output) == (-signal.SIGKILL, ""), errors
    assert not (run / "result.json").exists()
    before = _measured(run)
    saved = [path.name for path in (run / "checkpoints").iterdir() if path.name.isdecimal()]
    assert saved == [str(FIRST_EPOCH)]

    code, output, errors = finish(TINY, "train.py", *command)
    assert code == 0, errors
    assert f"1 images of minival, after {STEPS} steps" in output
    # The steps that were lost are taken again: on the same images, with the same weights.
    after = _measured(run)
    assert after[: len(before)] == before
    steps = [record["step"] for record in after if record["split"] == "train"]
    assert steps == list(range(1, STEPS + 1))
    assert before[-1]["step"] >= SECOND_EPOCH

    flags = ("--split=validation[:100%]", "--per_class")
    code, output, errors = finish(TINY, "eval.py", f"--workdir={run}", *flags)
    assert code == 0, errors
    assert f"5 images of validation[:100%], step {STEPS}, ema weights" in output
    (per_class,) = run.glob("per_class_*.json")
    rows = json.loads(per_class.read_text())["classes"]
    assert {row["name"] for row in rows if row["images"]} == set(toy.VALIDATION_CLASSES)


def _measured(workdir):
    """What every step and evaluation measured, without times."""
    return [
        {key: value for key, value in record.items() if "second" not in key}
        for record in read_metrics(workdir)
    ]
