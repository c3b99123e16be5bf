import multiprocessing

import pytest

from mobilenet.data.writer import DatasetExistsError, new_dataset_directory
from mobilenet.errors import UserError
from tests.helpers.toy_dataset import constant, png, write


def fail_halfway(data_dir):
    with new_dataset_directory("toy", data_dir) as new:
        (new / "file").touch()
        raise RuntimeError("halfway")


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_directory_appears_at_the_end(tmp_path):
    final = tmp_path / "toy" / "1.0.0"
    with new_dataset_directory("toy", tmp_path) as new:
        (new / "file").touch()
        assert not final.exists()
    assert [path.name for path in final.iterdir()] == ["file"]
    assert [path.name for path in final.parent.iterdir()] == ["1.0.0"]


def test_a_leftover_is_removed(tmp_path):
    (tmp_path / "toy" / "incomplete.x" / "1.0.0").mkdir(parents=True)
    with new_dataset_directory("toy", tmp_path):
        pass
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["1.0.0"]


def test_an_existing_dataset_is_refused_or_replaced_at_the_end(tmp_path):
    final = tmp_path / "toy" / "1.0.0"
    final.mkdir(parents=True)
    (final / "old").touch()
    with (
        pytest.raises(DatasetExistsError, match=r"The dataset toy exists already in .*1\.0\.0"),
        new_dataset_directory("toy", tmp_path),
    ):
        pass
    with pytest.raises(KeyError), new_dataset_directory("toy", tmp_path, overwrite=True):
        raise KeyError
    assert (final / "old").exists()
    with new_dataset_directory("toy", tmp_path, overwrite=True) as new:
        (new / "new").touch()
        assert (final / "old").exists()
    assert [path.name for path in final.iterdir()] == ["new"]
    assert [path.name for path in final.parent.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize("name", ["", "Toy", "to-y", "1toy", "../toy", "toy/x"])
def test_a_bad_name_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="is not allowed"), new_dataset_directory(name, tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def _write_or_refuse(data_dir, barrier, results):
    barrier.wait()
    try:
        write(data_dir, "toy", {"train": [png(constant(0))] * 50})
        results.put("written")
    except DatasetExistsError:
        results.put("refused")


def test_two_processes_do_not_disturb_each_other(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (tmp_path, barrier, results)
    processes = [context.Process(target=_write_or_refuse, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    outcomes = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert outcomes == ["refused", "written"]
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["1.0.0"]
