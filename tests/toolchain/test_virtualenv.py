"""`.venv` made by the real venv and pip from a lock that names one small wheel on disk."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from toolchain import virtualenv


def wheel(folder: Path, version: str) -> str:
    """Writes a wheel of one module; returns the line of a lock that names it."""
    file = folder / f"ember-{version}-py3-none-any.whl"
    info = f"ember-{version}.dist-info"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("ember.py", f"VERSION = {version!r}\n")
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: ember\nVersion: {version}\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"ember @ file://{file} --hash=sha256:{digest}\n"


def test_the_environment_follows_the_lock_and_is_left_alone_otherwise(tmp_path, capsys):
    root = tmp_path / "a checkout"
    (root / "here").mkdir(parents=True)
    (root / "here" / "__init__.py").touch()
    lock = root / "requirements.lock"

    lock.write_text(wheel(tmp_path, "1.0"))
    python = virtualenv.ensure(root, None)
    assert ember(python) == "1.0"

    capsys.readouterr()
    made = python.lstat().st_mtime_ns
    virtualenv.ensure(root, None)
    assert capsys.readouterr().err == ""
    assert python.lstat().st_mtime_ns == made

    lock.write_text(wheel(tmp_path, "2.0"))
    virtualenv.ensure(root, None)
    assert ember(python) == "2.0"

    # What lies in the checkout is importable from anywhere.
    subprocess.run([python, "-P", "-c", "import here"], cwd="/", check=True)

    # A Python that is gone leaves a dangling link: the environment is made anew.
    python.unlink()
    python.symlink_to("/gone/bin/python3")
    assert ember(virtualenv.ensure(root, None)) == "2.0"


def test_a_package_that_is_not_the_locks_is_refused(tmp_path):
    lock = wheel(tmp_path, "1.0")
    wrong = lock[:-9] + "deadbeef\n"
    (tmp_path / "requirements.lock").write_text(wrong)
    with pytest.raises(virtualenv.VirtualenvError, match="DO NOT MATCH THE HASHES"):
        virtualenv.ensure(tmp_path, None)
    assert not (tmp_path / ".venv" / "fragua.stamp").exists()


def test_uv_is_used_where_it_is_given(tmp_path):
    """A `uv` that writes down what it is asked, since there may be none here."""
    calls, uv = tmp_path / "calls", tmp_path / "uv"
    uv.write_text(
        f"""#!/bin/sh
echo "$@" >> "{calls}"
for last; do :; done
[ "$1" = pip ] || exec {sys.executable} -m venv --without-pip "$last"
"""
    )
    uv.chmod(0o755)
    (tmp_path / "requirements.lock").touch()
    python = virtualenv.ensure(tmp_path, str(uv))
    create, install = calls.read_text().splitlines()
    assert create == f"venv --quiet --allow-existing --python {sys.executable} {tmp_path}/.venv"
    assert install.startswith("pip install ")
    assert f"--python {python} --require-hashes --requirement {tmp_path}/requirements.lock" in install


def ember(python: Path) -> str:
    code = "import ember; print(ember.VERSION)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
