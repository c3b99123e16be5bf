"""Lists the unpacked layout: train/<wnid>/*.JPEG with val/<wnid>/*.JPEG or a flat val/."""

import dataclasses
import os
import pathlib

import tqdm

from mobilenet.data.prepare.imagenet.labels import (
    ImagenetError,
    check_class_of,
    check_classes,
    class_numbers,
    validation_labels,
)
from mobilenet.data.prepare.imagenet.listing import TRAIN, VALIDATION, Listing, Member
from mobilenet.data.prepare.imagenet.workers import Workers
from mobilenet.data.prepare.names import is_litter, some

_VALIDATION_FOLDERS = ("val", "validation")
_EXTENSIONS = (".jpeg", ".jpg")


@dataclasses.dataclass(frozen=True)
class _Folder:
    path: str
    split: str
    class_name: str | None  # None: a flat validation folder


def list_folders(
    source: pathlib.Path,
    workers: Workers,
    *,
    val_labels: str | os.PathLike[str] | None,
    allow_partial: bool,
) -> Listing:
    """Lists the images of `source/train` and `source/val`.

    Opens none of them: on a network file system that would take as long as reading all.

    Raises:
      ImagenetError: the layout is another, a class is unknown or missing, an image is empty.
    """
    train = source / TRAIN
    validation = next(
        (source / name for name in _VALIDATION_FOLDERS if (source / name).is_dir()), None
    )
    if validation is None:
        raise ImagenetError(
            f"{source} has a folder train but no folder val: add the validation images, as "
            "val/<wnid>/*.JPEG, or flat as val/*.JPEG."
        )
    folders = [_Folder(str(train / name), TRAIN, name) for name in _subfolders(train)]
    names = _subfolders(validation)
    if names and val_labels is not None:
        raise ImagenetError(
            f"{validation} has class folders, which give the labels: leave --val_labels out."
        )
    # The flat folder is the longest task, so it comes first.
    folders = [
        *(_Folder(str(validation / name), VALIDATION, name) for name in names or [""]),
        *folders,
    ]
    for where, split in ((train, TRAIN), (validation, VALIDATION)):
        found = [folder.class_name for folder in folders if folder.split == split]
        if names or split == TRAIN:
            check_classes(str(where), [name for name in found if name], allow_partial=allow_partial)
            _refuse_files(where)
    splits: dict[str, list[Member]] = {TRAIN: [], VALIDATION: []}
    numbers = {folder: number for number, folder in enumerate(folders)}
    with tqdm.tqdm(total=len(folders), desc="Listing the folders", unit="folder") as progress:
        for folder, members in workers.run(_list_images, folders):
            names_here = [member.name for member in members]
            if folder.class_name:
                label = class_numbers()[folder.class_name]
                for name in names_here:
                    check_class_of(folder.path, name, label)
                labels = dict.fromkeys(names_here, label)
            else:
                labels = validation_labels(folder.path, names_here, val_labels)
            splits[folder.split].extend(
                member._replace(label=labels[member.name], container=numbers[folder])
                for member in members
            )
            progress.update()
    return Listing("images", tuple(folder.path for folder in folders), splits)


def _subfolders(folder: pathlib.Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _refuse_files(folder: pathlib.Path) -> None:
    with os.scandir(folder) as entries:
        files = sorted(e.name for e in entries if not e.is_dir() and not is_litter(e.name))
    if files:
        raise ImagenetError(
            f"{folder} holds {some(files)} beside its class folders: move or remove it."
        )


def _list_images(folder: _Folder) -> list[Member]:
    images = []
    with os.scandir(folder.path) as entries:
        for entry in entries:
            if is_litter(entry.name):
                continue
            path = pathlib.Path(folder.path, entry.name)
            if not entry.name.lower().endswith(_EXTENSIONS) or entry.is_dir():
                raise ImagenetError(f"{path} is no .JPEG file: move or remove it.")
            try:
                status = entry.stat()
            except FileNotFoundError as error:
                raise ImagenetError(f"{path} is a broken link: mend or remove it.") from error
            if status.st_size == 0:
                raise ImagenetError(f"{path} is empty: get it again.")
            images.append(Member(entry.name, -1, 0, -1, status.st_size, status.st_mtime_ns))
    # The order in which the file system gives them differs between machines.
    return sorted(images)
