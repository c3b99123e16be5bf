"""What is wrong with an input is said in one sentence, before anything is written."""

import shutil

import pytest
import toy_imagenet as toy

from mobilenet.data.writer import locked_directory
from mobilenet.errors import UserError


def assert_refused(source, message, *, untouched=True, **options):
    """There is no dataset; nothing was written at all, if the input is said to be `untouched`."""
    data_dir = source.parent / "out"
    with pytest.raises(UserError, match=message) as info:
        toy.prepare(source, data_dir, **options)
    assert not (data_dir / toy.VERSION).exists()
    assert not (untouched and data_dir.exists() and any(data_dir.iterdir()))
    return str(info.value)


def refused_train(tmp_path, images, message):
    return assert_refused(toy.make_tars(tmp_path / "in", train=images), message)


def test_a_missing_input(tmp_path):
    assert_refused(tmp_path / "absent", "There is no folder .*absent")
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path / "empty", "holds neither ILSVRC2012_img_train.tar and")
    for missing in (toy.TRAIN_TAR, toy.VALIDATION_TAR):
        source = toy.make_tars(tmp_path / "in")
        (source / missing).unlink()
        assert_refused(source, f"but no {missing}: put both")


def test_counts(tmp_path):
    source = toy.make_folders(tmp_path / "in", flat=True)
    for name in toy.class_names() - toy.LABELS.keys():
        toy.write_files(source / "train" / name, {f"{name}_1.JPEG": b"x"})
    assert_refused(
        source,
        "in holds 1022 train and 5 validation images, and ImageNet 2012 has 1281167 and 50000",
        allow_partial=False,
    )


@pytest.mark.parametrize("make", [toy.make_tars, lambda path: toy.make_folders(path, flat=True)])
def test_missing_classes(tmp_path, make):
    source = make(tmp_path / "in")
    message = r"lacks 995 of the 1000 classes \(n01491361, .* and 990 more\)"
    assert_refused(source, message, allow_partial=False)


def test_unknown_classes(tmp_path):
    images = toy.train_images()
    refused_train(
        tmp_path,
        images | {"n99999999": images["n01440764"]},
        "img_train.tar holds n99999999, no class of ImageNet 2012",
    )
    source = toy.make_folders(tmp_path / "folders", flat=False)
    toy.write_files(source / "val" / "cat", {"1.JPEG": toy.encode(toy.picture(1))})
    assert_refused(source, "val holds cat, no class of ImageNet 2012")


def test_an_image_in_the_wrong_class(tmp_path):
    images = toy.train_images()
    images["n01440764"]["n01443537_9.JPEG"] = toy.encode(toy.picture(1))
    refused_train(tmp_path, images, "holds n01443537_9.JPEG, which is an image of the class n0144")
    source = toy.make_folders(tmp_path / "folders", flat=False)
    (source / "val" / "n01751748").rename(source / "val" / "n01440764")
    assert_refused(source, "ILSVRC2012_val_00000001.JPEG, which is an image of the class n01751748")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (toy.encode(toy.picture(1))[:-30], "it is cut short"),
        (b"", "it is empty"),
        (b"<html>", "it is neither JPEG nor PNG"),
    ],
)
def test_a_bad_member_is_found_before_anything_is_written(tmp_path, data, message):
    images = toy.train_images()
    images["n01443537"]["n01443537_2.JPEG"] = data
    message = rf"img_train\.tar: n01443537: n01443537_2\.JPEG is no good image: {message}"
    assert "\n" not in refused_train(tmp_path, images, message)


def test_damaged_images_are_kept_on_demand(tmp_path):
    images = toy.train_images()
    cut = toy.encode(toy.picture(1))[:-30]
    images["n01443537"]["n01443537_2.JPEG"] = cut
    source = toy.make_tars(tmp_path / "in", train=images)
    assert toy.prepare(source, tmp_path / "out", keep_damaged=True).damaged == 1
    stored = {r.file_name: r.image for r in toy.read(tmp_path / "out", "train")[1]}
    assert stored["n01443537_2.JPEG"] == cut
    records = toy.make_tfrecords(tmp_path / "records", tmp_path / "out" / toy.VERSION)
    assert toy.prepare(records, tmp_path / "again", keep_damaged=True).damaged == 1


def test_bytes_after_the_image_are_allowed(tmp_path):
    images = toy.train_images()
    images["n01443537"]["n01443537_2.JPEG"] += b"comment"
    source = toy.make_tars(tmp_path / "in", train=images)
    toy.prepare(source, tmp_path / "out")


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", [toy.TRAIN_TAR, toy.VALIDATION_TAR])
def test_a_tar_that_is_cut_short(tmp_path, name, fraction):
    source = toy.make_tars(tmp_path / "in")
    data = (source / name).read_bytes()
    (source / name).write_bytes(data[: int(len(data.rstrip(b"\0")) * fraction)])
    assert_refused(source, rf"{name}\S* is (damaged or )?cut short|{name}\S* is damaged")


def test_a_damaged_table(tmp_path):
    source = toy.make_tars(tmp_path / "in")
    data = bytearray((source / toy.VALIDATION_TAR).read_bytes())
    place = data.index(b"ILSVRC2012_val_00000003")
    data[place : place + 40] = b"x" * 40
    (source / toy.VALIDATION_TAR).write_bytes(data)
    assert_refused(source, "img_val.tar is damaged after ILSVRC2012_val_00000004.JPEG")
    (source / toy.VALIDATION_TAR).write_bytes(b"text")
    assert_refused(source, r"img_val.tar is damaged or cut short")


def test_images_that_cannot_be_decoded_are_all_named(tmp_path):
    images = toy.train_images()
    names = ["n01440764_1.JPEG", "n01484850_3.JPEG"]
    for name in names:
        data = bytearray(images[name[:9]][name])
        place = data.index(b"\xff\xc4")  # the first Huffman table
        data[place + 4 : place + 60] = bytes(56)
        images[name[:9]][name] = bytes(data)
    source = toy.make_tars(tmp_path / "in", train=images)
    message = assert_refused(
        source, "2 images cannot be decoded, so no dataset was made", untouched=False
    )
    assert all(name in message for name in names)


def test_validation_labels(tmp_path):
    source = toy.make_folders(tmp_path / "in", flat=True)
    labels = tmp_path / "labels.txt"
    assert_refused(source, "There is no file .*labels.txt", val_labels=labels)
    labels.write_text("n01751748\n" * 4)
    assert_refused(source, "4 labels for the 5 images of .*/val", val_labels=labels)
    labels.write_text("n01751748\n" * 4 + "490")
    assert_refused(source, "has '490' as label 5, no class", val_labels=labels)
    first = next((source / "val").iterdir())
    first.rename(first.with_name("cat.JPEG"))
    assert_refused(source, "val holds cat.JPEG, which is no official name .* --val_labels=FILE")
    source = toy.make_folders(tmp_path / "folders", flat=False)
    assert_refused(source, "class folders, which give the labels", val_labels=labels)


def test_the_layout_of_folders(tmp_path):
    source = toy.make_folders(tmp_path / "in", flat=False)
    (source / "val").rename(source / "other")
    assert_refused(source, "has a folder train but no folder val")
    (source / "other").rename(source / "val")
    for path, message in [
        ("train/n01440764.tar", "train holds n01440764.tar beside its class folders"),
        ("train/n01440764/x.txt", "x.txt is no .JPEG file"),
        ("train/n01440764/n01440764_77.JPEG", "n01440764_77.JPEG is empty"),
    ]:
        (source / path).touch()
        assert_refused(source, message)
        (source / path).unlink()
    (source / "val/n01751748/x.JPEG").symlink_to("nowhere")
    assert_refused(source, "x.JPEG is a broken link")


def test_two_images_of_one_name(tmp_path):
    images = toy.train_images()
    for name in ("n01440764", "n01484850"):
        images[name]["1.JPEG"] = toy.encode(toy.picture(1))
    refused_train(tmp_path, images, "more than one train image named 1.JPEG")


def test_tfrecords(tmp_path):
    toy.prepare(toy.make_tars(tmp_path / "tars"), tmp_path / "data")
    assert_refused(tmp_path / "data", "is in ArrayRecord form already")
    source = toy.make_tfrecords(tmp_path / "in", tmp_path / "data" / toy.VERSION)
    assert_refused(source, "holds 27 train and 5 validation images", allow_partial=False)
    (path,) = source.rglob("*-train.tfrecord-00000*")
    data = path.read_bytes()
    for damaged, message in [
        (data[:-1], r"tfrecord-00000-of-00002 is cut short in record 12"),
        (data[: -len(data) // 20], r"tfrecord-00000-of-00002 is cut short in record 12"),
        (b"\1" + data[1:], "is damaged at record 0"),
        (data + data, "has 26 records, and dataset_info.json says 13"),
    ]:
        path.write_bytes(damaged)
        assert_refused(source, message)
    record = bytearray(data)
    place = record.index(b"JFIF")
    record[place - 6] = 0
    path.write_bytes(record)
    message = r"1 images cannot be decoded(?s:.*)tfrecord-00000-of-00002: record 0"
    assert_refused(source, message, untouched=False)
    path.unlink()
    assert_refused(source, "tfrecord-00000-of-00002 is missing", untouched=False)


def test_a_full_disk_is_noticed_first(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(
        "mobilenet.data.prepare.imagenet.prepare.shutil.disk_usage", lambda _: usage
    )
    assert_refused(toy.make_tars(tmp_path / "in"), "out/imagenet2012 has 0.0 GB free, and 0.0 GB")


def test_two_preparations_at_once(tmp_path):
    source = toy.make_tars(tmp_path / "in")
    parent = tmp_path / "out" / "imagenet2012"
    with locked_directory(parent), pytest.raises(UserError, match="Another process is preparing"):
        toy.prepare(source, tmp_path / "out")
