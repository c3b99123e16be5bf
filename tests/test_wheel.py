"""The wheel holds the package alone, and works beside a user's own folders."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

_ROOT = pathlib.Path(__file__).parents[1]
_PROGRAM = """
import mobilenet, numpy as np
import configs
assert configs.MINE
model = mobilenet.create_model("mobilenet_v1_025", 3, resolution=32, depth="shallow")
model.eval()
logits = model(np.zeros((1, 32, 32, 3), np.uint8))
print(mobilenet.__file__, logits.shape, mobilenet.list_models()[0])
from mobilenet.papers.imagenet import read_published
assert read_published()
"""


def test_it_is_installed_beside_a_folder_called_configs(tmp_path):
    source, user = tmp_path / "source", tmp_path / "user"
    # Of a copy, since setuptools writes beside what it builds.
    left_out = shutil.ignore_patterns("__pycache__")
    for name in ("mobilenet", "configs", "benchmarks", "tests"):
        shutil.copytree(_ROOT / name, source / name, ignore=left_out)
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    flags = ("--no-deps", "--no-build-isolation")
    subprocess.run([*pip, "wheel", *flags, f"--wheel-dir={tmp_path}", source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = {name for name in content.namelist() if ".dist-info/" not in name}
    files = (_ROOT / "mobilenet").rglob("*.*")
    here = {path.relative_to(_ROOT).as_posix() for path in files if path.suffix in (".py", ".csv")}
    assert names == here

    subprocess.run(
        [*pip, "install", "--no-deps", f"--target={tmp_path / 'installed'}", wheel], check=True
    )
    (user / "configs").mkdir(parents=True)
    (user / "configs" / "__init__.py").write_text("MINE = True\n")
    found = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=user,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    file, *rest = found.stdout.split(maxsplit=1)
    assert pathlib.Path(file).is_relative_to(tmp_path / "installed")
    assert rest == ["(1, 3) mobilenet_v1_025\n"]
