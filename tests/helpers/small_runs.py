"""A small dataset, and runs of train.py as a user starts them."""

import pathlib
import subprocess
from collections.abc import Callable, Iterator

import jax
import ml_collections
import pytest
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh

from mobilenet.networks.architecture import V1_ROWS
from mobilenet.runtime.mesh import make_mesh
from tests.helpers import small_config, stripes
from tests.helpers.warm_start import WarmProgram

_HERE = pathlib.Path(__file__).parent
_REPOSITORY = _HERE.parents[1]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> pathlib.Path:
    """Holds the dataset `stripes`."""
    folder = tmp_path_factory.mktemp("datasets")
    stripes.write_stripes(folder)
    return folder


@pytest.fixture
def config(data_dir) -> ml_collections.ConfigDict:
    """The config of a small run."""
    config = small_config.get_config()
    config.data.data_dir = str(data_dir)
    return config


@pytest.fixture
def tiny_network(monkeypatch) -> None:
    """Cuts V1 down to the stem and one separable convolution, which compile in seconds."""
    monkeypatch.setattr("mobilenet.networks.architecture.V1_ROWS", V1_ROWS[:2])


@pytest.fixture
def one_device(monkeypatch) -> Mesh:
    """Makes runs use one device: a program for eight takes several times as long to compile."""
    mesh = make_mesh(jax.devices()[:1])
    monkeypatch.setattr("mobilenet.runtime.mesh.make_mesh", lambda: mesh)
    return mesh


@pytest.fixture
def cached_compilation(compiled_programs) -> Iterator[None]:
    """Does not compile again, in this process, what another test compiled."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (str(compiled_programs), 0.0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def start_training(start_program, data_dir) -> Callable[..., subprocess.Popen]:
    """Starts train.py on a run directory; `is_tiny`: with the network of `tiny_network`."""

    def start(
        workdir: pathlib.Path, *flags: str, prefix: tuple[str, ...] = (), is_tiny: bool = False
    ) -> subprocess.Popen:
        script, *words = [_HERE / "tiny_program.py"] * is_tiny + [_REPOSITORY / "train.py"]
        arguments = (*map(str, words), *_training_flags(data_dir, workdir), *flags)
        return start_program(script, *arguments, prefix=prefix)

    return start


@pytest.fixture(scope="session")
def start_tiny_training(start_warm_program, data_dir) -> Callable[..., WarmProgram]:
    """Starts train.py on a run directory, with the network of `tiny_network`, imports done.

    `signals` are three words for interrupting.py: which signal is sent, where, and at which step.
    """

    def start(workdir: pathlib.Path, *flags: str, signals: tuple[str, ...] = ()) -> WarmProgram:
        script = _HERE / "interrupting.py" if signals else _REPOSITORY / "train.py"
        arguments = _training_flags(data_dir, workdir)
        words = (str(script), *signals, *arguments, *flags)
        return start_warm_program(_HERE / "tiny_program.py", *words)

    return start


@pytest.fixture(scope="session")
def start_tiny_evaluation(start_warm_program) -> Callable[..., WarmProgram]:
    """Starts eval.py with flags, with the network of `tiny_network`."""

    def start(*flags: str) -> WarmProgram:
        return start_warm_program(_HERE / "tiny_program.py", str(_REPOSITORY / "eval.py"), *flags)

    return start


@pytest.fixture(scope="session")
def sweep_flags(data_dir) -> Callable[..., list[str]]:
    """Writes rows, given as the text of a sweep file's list, and returns the flags of a sweep."""

    def write(workdir: pathlib.Path, rows: str, base: str = "small_config.py") -> list[str]:
        sweep_file = workdir.parent / f"{workdir.name}_rows.py"
        sweep_file.write_text(
            "from mobilenet.sweeps import chain, product, seeds, zipped\n"
            f"def get_rows(base):\n    return {rows}\n"
        )
        return [
            f"--sweep={sweep_file}",
            f"--base={_HERE / base}",
            f"--base.data.data_dir={data_dir}",
            f"--workdir={workdir}",
        ]

    return write


@pytest.fixture(scope="session")
def start_sweep(start_warm_program, sweep_flags) -> Callable[..., WarmProgram]:
    """Starts scripts/sweep.py, or a copy of it, which starts the train.py beside its folder."""

    def start(
        workdir: pathlib.Path,
        rows: str,
        *flags: str,
        script: pathlib.Path = _REPOSITORY / "scripts" / "sweep.py",
        base: str = "small_config.py",
    ) -> WarmProgram:
        return start_warm_program(script, *sweep_flags(workdir, rows, base), *flags)

    return start


def _training_flags(data_dir: pathlib.Path, workdir: pathlib.Path) -> tuple[str, ...]:
    return (
        f"--config={_HERE / 'small_config.py'}",
        f"--config.data.data_dir={data_dir}",
        f"--workdir={workdir}",
    )
