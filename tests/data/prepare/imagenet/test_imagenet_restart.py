"""A killed preparation is gone on with; the command says what happens."""

import os
import pathlib
import signal

import pytest
import toy_imagenet as toy

from mobilenet.data.prepare.imagenet import shards

SHARDS = 4  # a split

# Kills itself with the third file half written.
KILLED = f"""
import os, signal, sys
from mobilenet.data.prepare.imagenet import prepare
from mobilenet.data.prepare.imagenet import shards

write, count = shards.write_array_record, 0

def write_or_die(path, records):
    global count
    count += 1
    if count == 3:
        write(path, records[:2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, records)

shards.write_array_record = write_or_die
shards.shard_utils.ShardConfig.calculate_number_shards = lambda size, count: {SHARDS}
prepare.prepare_imagenet(sys.argv[1], sys.argv[2], allow_partial=True, num_workers=1)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory, run_code) -> pathlib.Path:
    """A folder with `in`, and with `out` as a killed process left it."""
    folder = tmp_path_factory.mktemp("killed")
    toy.make_tars(folder / "in")
    done = run_code(KILLED, folder / "in", folder / "out")
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder


@pytest.fixture
def few_shards(monkeypatch):
    monkeypatch.setattr(
        shards.shard_utils.ShardConfig, "calculate_number_shards", lambda *_: SHARDS
    )


@pytest.mark.usefixtures("few_shards")
def test_finished_files_are_kept(killed, tmp_path, monkeypatch):
    (left,) = (killed / "out" / "imagenet2012").iterdir()
    assert left.name == "incomplete.5.1.0"
    finished = {p.name: p.stat().st_ino for p in (left / "5.1.0").glob("*-of-00004")}
    assert sorted(finished) == [f"imagenet2012-train.array_record-0000{i}-of-00004" for i in (0, 1)]
    assert list((left / "5.1.0").glob("*.tmp"))

    written = []
    original = shards.write_array_record
    monkeypatch.setattr(
        shards, "write_array_record", lambda path, _: written.append(path) or original(path, _)
    )
    sentences: list[str] = []
    toy.prepare(killed / "in", killed / "out", report=sentences.append)
    assert sentences == ["Going on: 2 of 8 files are finished."]
    assert len(written) == 6
    final = killed / "out" / toy.VERSION
    assert [path.name for path in final.parent.iterdir()] == ["5.1.0"]
    assert finished.items() <= {path.name: path.stat().st_ino for path in final.iterdir()}.items()

    toy.prepare(killed / "in", tmp_path / "whole")
    whole = tmp_path / "whole" / toy.VERSION
    assert sorted(p.name for p in final.iterdir()) == sorted(p.name for p in whole.iterdir())
    for path in whole.iterdir():
        assert (final / path.name).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("few_shards")
def test_finished_files_of_another_input_are_made_anew(tmp_path, monkeypatch):
    source = toy.make_tars(tmp_path / "in")

    def fail(path, records):
        if "00003" in path.name:
            raise KeyboardInterrupt
        return original(path, records)

    original = shards.write_array_record
    monkeypatch.setattr(shards, "write_array_record", fail)
    with pytest.raises(KeyboardInterrupt):
        toy.prepare(source, tmp_path / "out")
    monkeypatch.setattr(shards, "write_array_record", original)
    os.utime(source / toy.TRAIN_TAR)
    sentences: list[str] = []
    toy.prepare(source, tmp_path / "out", report=sentences.append)
    assert sentences == [
        "The input has changed since 3 files were finished: 3 of them are made anew."
    ]
    assert len(toy.read(tmp_path / "out", "train")[1]) == 27


@pytest.mark.usefixtures("few_shards")
def test_a_changed_folder_costs_only_its_files(tmp_path):
    source = toy.make_folders(tmp_path / "in", flat=False)
    broken = source / "train" / "n01440764" / "n01440764_1.JPEG"
    good = broken.read_bytes()
    broken.write_bytes(good[:-40])
    with pytest.raises(ValueError, match=r"1 images cannot be decoded(?s:.*)n01440764_1\.JPEG"):
        toy.prepare(source, tmp_path / "out")
    broken.write_bytes(good)
    sentences: list[str] = []
    toy.prepare(source, tmp_path / "out", report=sentences.append)
    assert sentences == ["Going on: 7 of 8 files are finished."]
    assert len(toy.read(tmp_path / "out", "train")[1]) == 27


def test_the_command(tmp_path, run_script):
    command = [
        "scripts/prepare_imagenet.py",
        f"--input={toy.make_tars(tmp_path / 'in')}",
        f"--data_dir={tmp_path / 'out'}",
        "--num_workers=2",
    ]
    refused = run_script(*command)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/in/ILSVRC2012_img_train")
    done = run_script(*command, "--allow_partial")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"Wrote {tmp_path}/out/imagenet2012/5.1.0: 27 train, 5 validation images, 2 encoded again "
        "as RGB."
    ]
    assert "32/32" in done.stderr  # the progress bar
    assert "image/s" in done.stderr
    assert toy.read(tmp_path / "out", "train")[0].num_examples == 27


ORPHANS = """
import os, signal, time
from mobilenet.data.prepare.imagenet.workers import Workers

results = Workers(2).run(time.sleep, [0.0, 1000.0, 1000.0])
next(results)  # so they have started
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_killed_parent(run_code):
    """The program ends when nobody holds its pipes any more, and the workers inherit them."""
    done = run_code(ORPHANS)
    assert done.returncode == -signal.SIGKILL, done.stderr


DIES = """
import os
from mobilenet.data.prepare.imagenet.workers import Workers

with Workers(2) as workers:
    list(workers.run(os._exit, [3]))
"""


def test_a_killed_worker_is_reported(run_code):
    done = run_code(DIES)
    assert done.returncode == 1
    assert "UserError: A worker process was killed" in done.stderr
