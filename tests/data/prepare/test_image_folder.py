import collections
import io
import pathlib
import signal
import tarfile

import cv2
import numpy as np
import pytest

from mobilenet.data.prepare import image_folder
from mobilenet.data.prepare.image_folder import ImageFolderError, prepare_image_folder
from tests.helpers import toy_dataset
from tests.helpers.toy_dataset import constant, png


def jpeg(index: int) -> bytes:
    return cv2.imencode(".jpg", constant(index % 50))[1].tobytes()


def photos() -> dict[str, bytes]:
    """Two splits of three classes; the file name tells the class."""
    files = {}
    for split, count in (("train", 20), ("val", 5)):
        for number, name in enumerate(["zebra", "Ant 1", "bee"]):
            for i in range(count):
                kind, encode = (".JPEG", jpeg) if i % 2 else (".png", png_of)
                files[f"{split}/{name}/{name}_{i}{kind}"] = encode(number * count + i)
    return files


def png_of(index: int) -> bytes:
    return png(constant(index % 50))


def make_folder(root: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def make_tar(path: pathlib.Path, files: dict[str, bytes], mode: str = "w") -> pathlib.Path:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def read(data_dir: pathlib.Path, split: str, name: str = "photos"):
    return toy_dataset.read(toy_dataset.data_config(name, data_dir), split)


def assert_refused(source, data_dir, message):
    with pytest.raises(ImageFolderError, match=message) as info:
        prepare_image_folder(source, "photos", data_dir)
    assert not data_dir.exists() or not any(data_dir.iterdir())
    return str(info.value)


def test_files_are_stored_unchanged_with_their_class(tmp_path, monkeypatch):
    monkeypatch.setattr("mobilenet.data.writer._SHARD_BYTES", 2000)
    monkeypatch.setattr(image_folder, "_CHUNK", 7)
    files = photos()
    # What is hidden or a desktop's is passed over, other files outside of classes are reported.
    litter = [
        ".DS_Store",
        "train/bee/._bee_1.JPEG",
        "train/bee/Thumbs.db",
        "train/.cache/x.jpg",
        "__MACOSX/train/bee/._bee_1.JPEG",
    ]
    others = ["README", "train/labels.csv"]
    source = make_folder(tmp_path / "in", files | dict.fromkeys([*litter, *others], b"text"))
    summary = prepare_image_folder(source, "photos", tmp_path / "out")
    assert summary.directory == tmp_path / "out" / "photos" / "1.0.0"
    assert summary.num_examples == {"train": 60, "val": 15}
    assert summary.class_names == ("Ant 1", "bee", "zebra")
    assert summary.ignored == tuple(others)
    for split in ("train", "val"):
        opened, records = read(tmp_path / "out", split)
        assert opened.class_names == summary.class_names
        stored = {record.file_name: record.image for record in records}
        wanted = {name: data for name, data in files.items() if name.startswith(split)}
        assert stored == wanted
        for record in records:
            assert opened.class_names[record.label] == record.file_name.split("/")[1]
        written = list(summary.directory.glob(f"photos-{split}.array_record*"))
        assert len(written) == -(-sum(map(len, wanted.values())) // 2000) > 1


def test_the_order_is_shuffled_and_does_not_depend_on_the_machine(tmp_path):
    files = photos()
    prepare_image_folder(make_folder(tmp_path / "in", files), "photos", tmp_path / "out")
    backwards = dict(reversed(files.items()))
    prepare_image_folder(make_tar(tmp_path / "x.tar", backwards), "photos", tmp_path / "again")
    _, records = read(tmp_path / "out", "train")
    assert records == read(tmp_path / "again", "train")[1]
    counts = collections.Counter(record.label for record in records[:30])
    assert min(counts.values()) > 4  # 10 of each expected


@pytest.mark.parametrize(
    ("mode", "prefix"),
    [("w", ""), ("w", "./"), ("w", "/data/"), ("w:gz", "photos-v1/"), ("w:xz", "")],
)
def test_tars(tmp_path, mode, prefix):
    files = {prefix + name: data for name, data in photos().items()}
    source = make_tar(tmp_path / "photos.tar", files, mode)
    summary = prepare_image_folder(source, "photos", tmp_path / "out")
    assert summary.num_examples == {"train": 60, "val": 15}
    _, records = read(tmp_path / "out", "val")
    stored = {prefix.lstrip("./") + name for name in photos() if name.startswith("val")}
    assert {record.file_name for record in records} == stored
    assert [path.name for path in (tmp_path / "out" / "photos").iterdir()] == ["1.0.0"]


def test_folders_named_by_numbers_from_0_on_are_the_labels(tmp_path):
    files = {f"val/{number}/{number}.png": png_of(number) for number in range(12)}
    prepare_image_folder(make_tar(tmp_path / "x.tar", files), "photos", tmp_path / "out")
    _, records = read(tmp_path / "out", "val")
    assert all(record.file_name == f"val/{record.label}/{record.label}.png" for record in records)
    # Numbers that leave one out are names as others are.
    files = {f"val/{number}/{number}.png": png_of(number) for number in (0, 2, 10)}
    prepare_image_folder(make_tar(tmp_path / "y.tar", files), "others", tmp_path / "out")
    assert read(tmp_path / "out", "val", "others")[0].class_names == ("0", "10", "2")


def test_one_split_is_enough(tmp_path):
    files = {name: data for name, data in photos().items() if name.startswith("val")}
    summary = prepare_image_folder(make_tar(tmp_path / "x.tar", files), "photos", tmp_path / "out")
    assert summary.num_examples == {"val": 15}


def test_the_last_member_of_a_name_counts(tmp_path):
    source = make_tar(tmp_path / "photos.tar", {"train/a/1.png": b"broken"})
    make_tar(source, {"train/a/1.png": png_of(3)}, "a")
    prepare_image_folder(source, "photos", tmp_path / "out")
    assert read(tmp_path / "out", "train")[1][0].image == png_of(3)


def test_all_unreadable_files_are_named_and_nothing_is_written(tmp_path):
    files = photos()
    bad = ["train/bee/bee_3.JPEG", "train/zebra/zebra_0.png", "val/Ant 1/Ant 1_4.png"]
    files[bad[0]] = files[bad[0]][:-40]
    files[bad[1]] = b""
    files[bad[2]] = b"text"
    for source in (make_folder(tmp_path / "in", files), make_tar(tmp_path / "photos.tar", files)):
        message = assert_refused(source, tmp_path / "out", "3 images cannot be decoded")
        assert all(name in message for name in bad)
        assert message.count("\n") == 3


def test_a_broken_link_is_named(tmp_path):
    source = make_folder(tmp_path / "in", photos())
    (source / "val" / "bee" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    assert_refused(source, tmp_path / "out", "1 images cannot be decoded(?s:.*)val/bee/gone.jpg")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"val/cat/1.jpg": jpeg(1)}, "no images of class 'cat' in split 'train'"),
        ({"test/bee/1.jpg": jpeg(1)}, "no images of class 'Ant 1' in split 'test'"),
        ({"val/bee/x.webp": b"x"}, r"holds val/bee/x\.webp in class folders"),
        ({"val/bee/labels.txt": b"x"}, r"holds val/bee/labels\.txt in class folders"),
        ({"bee/x.jpg": jpeg(1)}, r"holds bee/x\.jpg in the wrong place: the layout must be split"),
        ({"train/bee/deep/x.png": b"x"}, r"holds train/bee/deep/x\.png in the wrong place"),
        ({"x.gif": b"x"}, r"holds x\.gif in the wrong place"),
        ({f"{i}.jpg": b"x" for i in range(7)}, r"0\.jpg, .*4\.jpg and 2 more in the wrong place"),
        ({"va-l/bee/1.jpg": jpeg(1)}, "a split named 'va-l'"),
        ({"val/be\re/1.jpg": jpeg(1)}, r"a class named 'be\\re': rename the folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_layout_is_refused(tmp_path, extra, message):
    files = photos() | extra
    assert_refused(make_tar(tmp_path / "photos.tar", files), tmp_path / "out", message)
    assert_refused(make_folder(tmp_path / "in", files), tmp_path / "out", message)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("train/cat", "no images of class 'cat' in split 'train'"),
        ("test", "no images in the split 'test'"),
        ("test/bee", "no images in the split 'test'"),
    ],
)
def test_an_empty_folder_is_refused(tmp_path, folder, message):
    source = make_folder(tmp_path / "in", photos())
    (source / folder).mkdir(parents=True)
    assert_refused(source, tmp_path / "out", message)
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(source, ".")
    assert_refused(tmp_path / "photos.tar", tmp_path / "out", message)


def test_what_is_no_input_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"text")
    assert_refused(tmp_path / "empty", tmp_path / "out", "holds no images")
    for name in ("absent", "file"):
        assert_refused(tmp_path / name, tmp_path / "out", "neither a folder nor a tar")
    compressed = make_tar(tmp_path / "x.tar.gz", photos(), "w:gz")
    compressed.write_bytes(compressed.read_bytes()[:-200])
    assert_refused(compressed, tmp_path / "out", r"x\.tar\.gz is damaged")


def test_a_link_in_a_tar_is_refused(tmp_path):
    source = make_tar(tmp_path / "photos.tar", photos())
    with tarfile.open(source, "a") as tar:
        member = tarfile.TarInfo("val/bee/link.jpg")
        member.type, member.linkname = tarfile.SYMTYPE, "bee_1.jpg"
        tar.addfile(member)
    assert_refused(source, tmp_path / "out", "holds val/bee/link.jpg, which is a link")


KILLED = """
import os, signal, sys
from mobilenet.data.prepare import image_folder

decode, count = image_folder.decode_with_simplejpeg, 0

def decode_or_die(data):
    global count
    count += 1
    if count == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(data)

image_folder.decode_with_simplejpeg = decode_or_die
image_folder._CHUNK = 8
image_folder.prepare_image_folder(sys.argv[1], "photos", sys.argv[2])
"""


def test_a_killed_run_leaves_no_dataset_and_the_next_one_cleans_up(tmp_path, run_code):
    source = make_folder(tmp_path / "in", photos())
    done = run_code(KILLED, source, tmp_path / "out")
    assert done.returncode == -signal.SIGKILL
    (leftover,) = (tmp_path / "out" / "photos").iterdir()
    assert list(leftover.rglob("*.array_record*"))
    prepare_image_folder(source, "photos", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "photos").iterdir()] == ["1.0.0"]
    assert len(read(tmp_path / "out", "train")[1]) == 60


def test_the_command(tmp_path, run_script):
    def run(image, *options):
        source = make_tar(tmp_path / "photos.tar", {"train/a/1.png": image, "README": b""})
        script, where = "scripts/prepare_images.py", f"--data_dir={tmp_path / 'out'}"
        return run_script(script, f"--input={source}", "--name=photos", where, *options)

    first, second, third = run(png_of(1)), run(png_of(2)), run(png_of(3), "--overwrite")
    assert first.stdout.splitlines() == [
        "Ignored 1 files outside of class folders: README",
        f"Wrote {tmp_path}/out/photos/1.0.0: 1 train images of 1 classes.",
    ]
    assert "1/1" in first.stderr  # the progress bar
    assert second.stderr.startswith("error: The dataset photos exists already in")
    assert len(second.stderr.splitlines()) == 1
    assert [done.returncode for done in (first, second, third)] == [0, 1, 0]
    assert read(tmp_path / "out", "train")[1][0].image == png_of(3)


def test_real_photographs(test_data, tmp_path):
    source = test_data / "clothing10" / "clothing10_160px.tar"
    taken, counts = {}, collections.Counter()
    with tarfile.open(source) as tar:
        for member in tar:
            folder = str(pathlib.PurePosixPath(member.name).parent)
            if member.isfile() and counts[folder] < 2:
                counts[folder] += 1
                taken[member.name] = tar.extractfile(member).read()
    summary = prepare_image_folder(
        make_folder(tmp_path / "in", taken), "clothing", tmp_path / "out"
    )
    assert summary.num_examples == {"test": 20, "train": 20, "validation": 20}
    opened, records = read(tmp_path / "out", "validation", "clothing")
    assert "t-shirt" in opened.class_names
    assert np.bincount([record.label for record in records]).tolist() == [2] * 10
