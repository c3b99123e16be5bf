"""A sweep's parts: a base config on a small dataset, and runs as their files hold them."""

import pathlib
from collections.abc import Callable

import pytest

from tests.helpers.warm_start import WarmProgram

_REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session")
def base_file() -> pathlib.Path:
    """A config of runs of seconds."""
    return _REPOSITORY / "tests" / "helpers" / "small_config.py"


@pytest.fixture(scope="session")
def start_sweep(start_warm_program, data_dir, base_file) -> Callable[..., WarmProgram]:
    """Starts scripts/sweep.py on a workdir and rows, given as the text of a sweep file's list.

    `script` is a copy of it: it starts the train.py beside its folder.
    """

    def start(
        workdir: pathlib.Path,
        rows: str,
        *flags: str,
        script: pathlib.Path = _REPOSITORY / "scripts" / "sweep.py",
    ) -> WarmProgram:
        sweep_file = workdir.parent / f"{workdir.name}_rows.py"
        sweep_file.write_text(
            "from mobilenet.sweeps import chain, product, seeds, zipped\n"
            f"def get_rows(base):\n    return {rows}\n"
        )
        return start_warm_program(
            script,
            f"--sweep={sweep_file}",
            f"--base={base_file}",
            f"--base.data.data_dir={data_dir}",
            f"--workdir={workdir}",
            *flags,
        )

    return start
