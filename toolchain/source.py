"""The engine built from Go modules, where no release archive can be had.

`go/cli/go.mod` names the CLI and `go/language/go.mod` the Python language host, each as a Go
`tool`; the go.sum files beside them pin every byte that is compiled. There are two modules because
the newest language host that a module proxy serves lives inside an older `sdk/v3` (3.79.0) than the
CLI's, and one module can't hold two versions. It runs under the newer CLI, with one difference:
it ignores the project's `virtualenv` option and takes the `python` that is first on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.console import Progress, duration, say
from toolchain.versions import order

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = Path(__file__).parent / "go"

_SDK = "github.com/pulumi/pulumi/sdk/v3"
_CLI = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_LANGUAGE_HOST = f"{_SDK}/python/cmd/pulumi-language-python"
_SCRIPTS = (
    "python/cmd/pulumi-language-python-exec",
    "python/dist/pulumi-resource-pulumi-python",
)
"""What the language host starts, in the CLI's version of the SDK module."""

_CORE_SECONDS = 480
"""Measured: 4 min on 2 cores, download included."""


class SourceError(Exception):
    """No Go that is new enough, or a build that failed."""


def find_go(minimum: str, path: str) -> str:
    """The `go` on `path`.

    Raises:
        SourceError: There is none, or it is older than `minimum`.
    """
    go = shutil.which("go", path=path)
    if go is None:
        raise SourceError("no `go` on PATH")
    # From "/", because a go.mod in the current folder would have a say in the answer.
    answer = subprocess.run([go, "env", "GOVERSION"], cwd="/", capture_output=True, text=True, check=False)
    version = answer.stdout.strip().removeprefix("go")
    if order(version) < order(minimum):
        raise SourceError(f"{go} is Go {version or '(unknown)'}, older than {minimum}")
    return go


def build(go: str, version: str, folder: Path, cache: Path) -> None:
    """Build the engine's executables into `folder`.

    Args:
        go: From `find_go`.
        version: What the CLI is to say of itself, "3.259.0".
        folder: An empty folder.
        cache: Keeps Go's module and build caches (unless the user has set their places), so that
            a build which was cut off goes on where it stopped.

    Raises:
        SourceError: With the last lines that Go printed.
    """
    environment = _environment(os.environ, cache)
    expected = duration(_CORE_SECONDS / (os.cpu_count() or 1))
    say(f"building Pulumi {version} from Go modules, once: about {expected}")
    log = cache / "build.log"
    began = time.monotonic()
    progress = Progress()
    stamp = f"-X {_SDK}/go/common/version.Version=v{version}"
    try:
        for module, package in (("language", _LANGUAGE_HOST), ("cli", _CLI)):
            command = [go, "build", "-trimpath", "-buildvcs=false", "-modcacherw"]
            command += ["-ldflags", f"-s -w {stamp}", "-o", str(folder), package]
            with log.open("w") as output:
                process = subprocess.Popen(
                    command,
                    cwd=MODULES / module,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            try:
                while _running(process):
                    spent = duration(time.monotonic() - began)
                    progress.show(f"building Pulumi {version}: {spent} of about {expected}")
            finally:
                process.terminate()
            if process.returncode != 0:
                said = "\n  ".join(log.read_text(errors="replace").strip().splitlines()[-6:])
                raise SourceError(f"go build of {package} failed:\n  {said}\n  (whole log: {log})")
    finally:
        progress.close()
    sdk = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", _SDK],
        cwd=MODULES / "cli",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    for script in _SCRIPTS:
        target = folder / Path(script).name
        shutil.copyfile(Path(sdk) / script, target)
        target.chmod(0o755)
    say(f"built Pulumi {version} in {duration(time.monotonic() - began)}")


def _running(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment; whether the process is still there after it."""
    try:
        process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


def _environment(environment: Mapping[str, str], cache: Path) -> dict[str, str]:
    """The environment for Go: nothing outside `cache`, no C compiler, no setting of the user's."""
    places = {
        "GOPATH": str(cache / "go"),
        "GOMODCACHE": str(cache / "go" / "mod"),
        "GOCACHE": str(cache / "go" / "build"),
    }
    return {
        **places,
        **environment,
        "CGO_ENABLED": "0",  # a fresh machine has no C compiler, and the engine needs none
        "GOWORK": "off",
        "GOFLAGS": "",
    }
