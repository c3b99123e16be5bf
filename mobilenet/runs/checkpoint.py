"""Checkpoints of a run: asynchronous, atomic, checked; the last few and the best one."""

import contextlib
import dataclasses
import errno
import itertools
import logging
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from jax.sharding import Sharding
from orbax.checkpoint import checkpoint_managers

from mobilenet.errors import UserError, os_errors_explained
from mobilenet.runs.checksums import find_damage, write_checksums
from mobilenet.runs.state import TrainState
from mobilenet.runtime.agreement import from_first, is_first

# Where damaged checkpoints go: beside `checkpoints/`, whose folders are all steps.
_DAMAGED = "damaged_checkpoints"

# Weights lie apart from the rest: evaluation, fine-tuning and export read them alone.
_ITEMS = {"weights": ("params", "batch_stats", "ema"), "progress": ("step", "opt_state")}

_WRITE = "write a checkpoint (complete ones are unharmed) to"
_SYSTEM_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


class Checkpoints:
    """The folder `checkpoints/` of a run directory, one folder a step.

    `scores` says how good the weights of a step are, such as their top-1; it may grow while this
    lives. Kept are the `keep` last checkpoints and the best of those that have a score.

    Every checkpoint holds checksums of its files, and none is read that is not as it was written.
    One without checksums, of an older release, is taken as it is.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        *,
        keep: int,
        scores: Mapping[int, float],
        read_only: bool = False,
    ):
        """Raises UserError if the folder cannot be made; one that is only read is left as it is."""
        self._directory = pathlib.Path(workdir).absolute() / "checkpoints"
        self._scores = scores
        self._saving: int | None = None
        for name in ("absl", "asyncio"):
            logging.getLogger(name).addFilter(_is_worth_reading)
        with self._explained("open"):
            if not read_only:
                self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._directory,
                item_handlers={name: ocp.StandardCheckpointHandler() for name in _ITEMS},
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=checkpoint_managers.AnyPreservationPolicy(
                        [checkpoint_managers.LatestN(keep), _Best(scores)]
                    ),
                    cleanup_tmp_directories=not read_only,  # what a killed save left
                    create=False,
                    async_options=ocp.AsyncOptions(post_finalization_callback=self._add_checksums),
                ),
            )

    def save(self, step: int, state: TrainState) -> None:
        """Starts to save; returns when `state` may be overwritten. A step is saved once.

        Raises:
          UserError: this save, or the one before it, could not be written.
        """
        if step in self.steps():
            return
        with self._explained(_WRITE):
            self._manager.wait_until_finished()
            # Asked first, because a background thread that fails prints more than our sentence.
            # Orbax's index of many small arrays can be as large as they are.
            room = 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(state))
            if shutil.disk_usage(self._directory).free < room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            items = {
                name: ocp.args.StandardSave({field: getattr(state, field) for field in fields})
                for name, fields in _ITEMS.items()
            }
            self._saving = step
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)

    def _add_checksums(self) -> None:
        """Is called by Orbax when all is written but the final name, in a thread."""
        # The files of all processes are there by now, on the disk that they share.
        if is_first():
            (folder,) = self._directory.glob(f"{self._saving}.*")
            write_checksums(folder)

    def restore(self, step: int, target: TrainState, sharding: Sharding) -> TrainState:
        """Returns the state of a step.

        Args:
          target: a state of arrays or of shapes, whose structure the checkpoint must have.
          sharding: where every array goes, whatever devices it came from.

        Raises:
          UserError: there is no such checkpoint, it is damaged, or it does not fit.
        """
        fields = {field.name: getattr(target, field.name) for field in dataclasses.fields(target)}
        return TrainState(**self._restore(step, tuple(_ITEMS), fields, sharding))

    def restore_weights(self, step: int, target: dict[str, Any], sharding: Sharding) -> dict:
        """Returns the `params`, `batch_stats` and `ema` of a step; otherwise as `restore`."""
        return self._restore(step, ("weights",), target, sharding)

    def _restore(
        self, step: int, items: Sequence[str], target: dict[str, Any], sharding: Sharding
    ) -> dict[str, Any]:
        if step not in self.steps():
            raise UserError(
                f"There is no checkpoint of step {step} in {self._directory}: it has "
                f"{', '.join(map(str, self.steps())) or 'none'}."
            )

        if damage := self._find_damage(step, items):
            raise UserError(
                f"The checkpoint of step {step} in {self._directory} is damaged ({damage}): take "
                f"another of {', '.join(map(str, self.steps()))}."
            )

        def abstract(x: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        with self._explained("read a checkpoint from"):
            self._check_shapes(step, {field: target[field] for field in _ITEMS["weights"]})
            args = {
                item: ocp.args.StandardRestore(
                    {field: jax.tree.map(abstract, target[field]) for field in _ITEMS[item]}
                )
                for item in items
            }
            restored = self._manager.restore(step, args=ocp.args.Composite(**args))
        return {field: value for item in items for field, value in restored[item].items()}

    def _check_shapes(self, step: int, target: dict[str, Any]) -> None:
        """Compares before anything is read, for Orbax fails with a page of its own."""
        saved = _shapes(self._manager.item_metadata(step)["weights"].tree)
        wanted = _shapes(target)
        for name in sorted(saved.keys() | wanted.keys()):
            there, here = saved.get(name, "absent"), wanted.get(name, "absent")
            if there != here:
                raise UserError(
                    f"The checkpoint of step {step} in {self._directory} is of another network: "
                    f"{name} is {there} there and {here} here."
                )

    def steps(self) -> list[int]:
        """Returns the steps of all complete checkpoints, in order."""
        return sorted(self._manager.all_steps())

    def last(self) -> int | None:
        """Returns the step of the last complete checkpoint; None if there is none."""
        return _latest(self.steps())

    def last_whole(self) -> int | None:
        """Returns the step of the last checkpoint that is not damaged; None if there are none.

        Newer ones, which are damaged, are set aside with a warning: training saves these steps
        again. Of several processes the first does all this, and tells the others.

        Raises:
          UserError: there are checkpoints, and all of them are damaged.
        """
        found = self._find_whole(_latest, tuple(_ITEMS), set_aside=True) if is_first() else None
        found = from_first(found)
        self._manager.reload()  # the others do not know yet what was set aside
        return found

    def find_whole_weights(self, which: str) -> int | None:
        """Returns the step of the `last` or the `best` checkpoint whose weights are not damaged.

        Those that are damaged are passed over with a warning, and stay where they are. None: there
        is no checkpoint, or none with a score.

        Raises:
          UserError: there are such checkpoints, and all of them are damaged.
        """
        choose = {"last": _latest, "best": lambda steps: _best_step(steps, self._scores)}[which]
        return self._find_whole(choose, ("weights",), set_aside=False)

    def _find_whole(
        self,
        choose: Callable[[Sequence[int]], int | None],
        items: Sequence[str],
        *,
        set_aside: bool,
    ) -> int | None:
        steps, damage = self.steps(), dict[int, str]()
        while (step := choose(steps)) is not None:
            found = self._find_damage(step, items)
            if found is None:
                break
            damage[step] = found
            steps.remove(step)
        if damage and step is None:
            details = "; ".join(f"of step {step} {found}" for step, found in damage.items())
            raise UserError(
                f"No checkpoint in {self._directory} is whole ({details}): bring one back from a "
                "copy, or start again with another --workdir."
            )
        for damaged, found in damage.items():
            place = f", and it is now {self._set_aside(damaged)}" if set_aside else ""
            absl_logging.warning(
                "The checkpoint of step %d in %s is damaged (%s): that of step %d is used%s.",
                damaged,
                self._directory,
                found,
                step,
                place,
            )
        return step

    def _find_damage(self, step: int, items: Sequence[str]) -> str | None:
        with self._explained("read a checkpoint from"):
            return find_damage(self._directory / str(step), items)

    def _set_aside(self, step: int) -> pathlib.Path:
        """Moves a checkpoint out of the way, and returns where it is now."""
        folder = self._directory.parent / _DAMAGED
        with os_errors_explained(f"move a damaged checkpoint to {folder}"):
            folder.mkdir(exist_ok=True)
            # The same step may have been damaged before.
            places = (folder / f"{step}.{number}" for number in itertools.count(1))
            place = next(place for place in places if not place.exists())
            (self._directory / str(step)).rename(place)
        self._manager.reload()
        return place

    def wait(self) -> None:
        """Returns when all saves are on disk.

        Raises:
          UserError: one could not be written.
        """
        with self._explained(_WRITE):
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def close(self) -> None:
        """Waits and frees the threads."""
        with self._explained(_WRITE):
            self._manager.close()

    @contextlib.contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Turns whatever Orbax raises into one sentence, unless another process may be lost."""
        action = f"{action} {self._directory}"
        with os_errors_explained(action):
            try:
                yield
            except (OSError, UserError):
                raise
            except Exception as error:
                text = str(error)
                # Orbax's C++ part names the error of the system in words only.
                for code in _SYSTEM_ERRORS:
                    if os.strerror(code) in text:
                        raise OSError(code, os.strerror(code)) from error
                if jax.process_count() > 1:
                    raise  # mobilenet.runtime.hosts finds out
                reason = text.strip().partition("\n")[0].rstrip(".") or "no message"
                raise UserError(f"Cannot {action}: {type(error).__name__}: {reason}.") from error


def _is_worth_reading(record: logging.LogRecord) -> bool:
    """Whether to log a record: Orbax logs what it raises too, in a thousand lines for one error."""
    is_from_orbax = "orbax" in record.pathname or "orbax" in record.getMessage()
    return absl_logging.level_info() or not is_from_orbax


class _Best(checkpoint_managers.PreservationPolicy):
    def __init__(self, scores: Mapping[int, float]):
        self._scores = scores

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """Says for every checkpoint, which has a `step`, whether it is the best."""
        del context
        best = _best_step([checkpoint.step for checkpoint in checkpoints], self._scores)
        return [checkpoint.step == best for checkpoint in checkpoints]


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in leaves
    }


def _latest(steps: Sequence[int]) -> int | None:
    return max(steps, default=None)


def _best_step(steps: Sequence[int], scores: Mapping[int, float]) -> int | None:
    """The earliest of the steps with the highest score."""
    scored = [step for step in sorted(steps) if step in scores]
    return max(scored, key=lambda step: scores[step], default=None)


def has_checkpoint(workdir: str | os.PathLike[str]) -> bool:
    """Returns whether a run directory holds a checkpoint, whole or not."""
    folders = pathlib.Path(workdir, "checkpoints").glob("*")
    return any(folder.name.isdecimal() for folder in folders)
