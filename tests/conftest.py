"""Strictness for all tests: 8 CPU devices, no implicit promotion, annotations checked."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

# Before JAX starts: one host with several devices, as a TPU host has.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"
# Most of the time is spent compiling what runs for microseconds: LLVM optimises nothing, here and
# in all processes that tests start. XLA's own passes stay as they are.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# For those processes.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(pathlib.Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
)

import jax
import jaxtyping
import pytest
from absl import flags

from tests.helpers.warm_start import WarmProgram

pytest_plugins = ["tests.helpers.finished_runs", "tests.helpers.small_runs"]

_REPOSITORY = pathlib.Path(__file__).parents[1]

# An int passes where a float is annotated, as PEP 484 says.
jaxtyping.install_import_hook(
    "mobilenet", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
).__enter__()
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Grain's worker processes read absl flags, which only an absl main parses.
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """The folder of real images and pretrained weights that some tests need."""
    named = os.environ.get("MOBILENET_TEST_DATA")
    folder = pathlib.Path(named) if named else pathlib.Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real test data is absent: set MOBILENET_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def compiled_programs(tmp_path_factory) -> pathlib.Path:
    """The folder of compiled programs that all runs of this session share."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="session")
def program_environment(compiled_programs) -> dict[str, str]:
    """The environment of the programs that tests start: one device, and compiled programs kept."""
    return os.environ | {
        "XLA_FLAGS": "",
        "JAX_COMPILATION_CACHE_DIR": str(compiled_programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        # What use_huge_pages would start the program again for, after seconds of imports.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }


@pytest.fixture(scope="session")
def start_program(program_environment) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts a Python script, on one device, in a process of its own.

    `prefix` goes before the command. What is still running at the end is killed.
    """
    started: list[subprocess.Popen] = []

    def start(
        script: pathlib.Path, *arguments: str, prefix: tuple[str, ...] = ()
    ) -> subprocess.Popen:
        process = subprocess.Popen(
            [*prefix, sys.executable, str(script), *arguments],
            cwd=_REPOSITORY,
            env=program_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def start_warm_program(program_environment) -> Iterator[Callable[..., WarmProgram]]:
    """As `start_program`, in a process that has done the imports; `variables`: of its environment.

    `cwd` is its folder, by default the repository.
    """
    started: list[WarmProgram] = []

    def start(
        script: pathlib.Path,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        cwd: pathlib.Path = _REPOSITORY,
    ) -> WarmProgram:
        environment = program_environment | dict(variables or {})
        started.append(WarmProgram(script, *arguments, environment=environment, cwd=cwd))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture(scope="session")
def run_script(start_warm_program) -> Callable[..., subprocess.CompletedProcess]:
    """Runs a script, named from the repository's root, to its end; `cwd` is its folder."""

    def run(
        script: str, *arguments: str, cwd: pathlib.Path = _REPOSITORY
    ) -> subprocess.CompletedProcess[str]:
        process = start_warm_program(_REPOSITORY / script, *map(str, arguments), cwd=cwd)
        output, errors = process.communicate(timeout=300)
        return subprocess.CompletedProcess((script, *arguments), process.returncode, output, errors)

    return run
