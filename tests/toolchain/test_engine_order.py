"""PATH, then the release, then Go: real executables on a PATH of our own, real archives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolchain import engine, versions
from toolchain.bootstrap import ROOT

PINS = versions.load()

FAKE_GO = """#!/bin/sh
# Does what toolchain/source.py asks of `go`: say the version, write an executable, find a module.
echo "$@ CGO_ENABLED=$CGO_ENABLED GOMODCACHE=$GOMODCACHE" >> "{calls}"
case $1 in
env) echo {version} ;;
list) echo "{module}" ;;
build)
    {before}
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho v{engine}\\n' > "$2/$(basename "$3")"
    chmod +x "$2/$(basename "$3")" ;;
esac
"""


@pytest.fixture
def go(tmp_path: Path):
    """Puts a `go` into a folder; its calls are in `calls`."""
    module = tmp_path / "sdk"
    for script in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        (module / script).parent.mkdir(parents=True, exist_ok=True)
        (module / script).write_text("#!/bin/sh\n")

    def put(version: str = "go1.26.0", before: str = ":") -> str:
        folder = tmp_path / "go"
        folder.mkdir(exist_ok=True)
        text = FAKE_GO.format(
            calls=tmp_path / "calls", version=version, module=module, before=before, engine=PINS.engine
        )
        (folder / "go").write_text(text)
        (folder / "go").chmod(0o755)
        return str(folder)

    return put


def builds(tmp_path: Path) -> list[str]:
    calls = tmp_path / "calls"
    return (
        [line for line in calls.read_text().splitlines() if line.startswith("build")]
        if calls.exists()
        else []
    )


@pytest.fixture
def nowhere(pins, server):
    """Pins of a release that its server doesn't have."""
    server.status = 404
    return pins(b"")


def test_an_engine_on_path_that_is_new_enough_is_taken_as_it_is(pins, server, installed, tmp_path):
    mine = installed(tmp_path / "mine", PINS.engine_minimum)
    assert engine.ensure(pins(b""), tmp_path / "cache", str(mine)) == engine.Engine(mine, provided=False)
    assert server.asked == []


def test_an_engine_on_path_may_be_a_link_to_where_its_language_host_is(pins, installed, tmp_path):
    installed(tmp_path / "opt", PINS.engine)
    links = tmp_path / "links"
    links.mkdir()
    (links / "pulumi").symlink_to(tmp_path / "opt" / "pulumi")
    assert engine.ensure(pins(b""), tmp_path / "cache", str(links)).bin == links


def test_an_engine_of_ours_on_path_is_known_as_ours(pins, installed, tmp_path):
    ours = installed(tmp_path / "cache" / "engine" / PINS.engine / "bin", PINS.engine)
    assert engine.ensure(pins(b""), tmp_path / "cache", str(ours)).provided


def test_the_version_on_path_is_asked_again_only_when_the_file_has_changed(installed, tmp_path):
    mine, cache = installed(tmp_path / "mine", PINS.engine), tmp_path / "cache"
    pulumi = mine / "pulumi"
    pulumi.write_text(f"{pulumi.read_text()}echo asked >> '{tmp_path / 'asked'}'\n")
    for _ in range(3):
        engine.on_path(PINS.engine_minimum, cache, str(mine))
    assert (tmp_path / "asked").read_text() == "asked\n"
    installed(mine, "3.1.0")
    with pytest.raises(engine.EngineError, match=r"is version 3\.1\.0, older than"):
        engine.on_path(PINS.engine_minimum, cache, str(mine))


@pytest.mark.parametrize(
    ("version", "names"),
    [("3.100.2", engine.EXECUTABLES), (PINS.engine, ("pulumi",)), ("3.99.0-alpha.1", engine.EXECUTABLES)],
    ids=["too old", "without its language host", "too old, and odd"],
)
def test_an_engine_on_path_that_will_not_do_is_passed_over_for_the_release(
    *, pins, server, packed, installed, tmp_path, version, names
):
    mine = installed(tmp_path / "mine", version, names)
    server.content = packed()
    found = engine.ensure(pins(server.content), tmp_path / "cache", str(mine))
    assert found.provided
    assert sorted(file.name for file in found.bin.iterdir()) == sorted(engine.EXECUTABLES)
    assert found.bin.is_relative_to(tmp_path / "cache")


def test_what_was_fetched_once_is_not_fetched_again_and_leaves_no_archive(pins, server, packed, tmp_path):
    server.content = packed()
    for _ in range(2):
        engine.ensure(pins(server.content), tmp_path / "cache", "/nonexistent")
    assert server.asked == [None]
    assert list((tmp_path / "cache" / "download").iterdir()) == []


@pytest.mark.parametrize("fault", ["wrong checksum", "wrong version", "no language host", "404"])
def test_a_release_that_will_not_do_is_passed_over_for_go(
    *, pins, server, packed, go, tmp_path, fault, capsys
):
    good = packed()
    match fault:
        case "wrong checksum":
            server.content, wanted = good + b"?", pins(good)
        case "wrong version":
            server.content = packed(version="3.258.0")
            wanted = pins(server.content)
        case "no language host":
            server.content = packed(names=("pulumi",))
            wanted = pins(server.content)
        case _:
            server.status, wanted = 404, pins(good)
    found = engine.ensure(wanted, tmp_path / "cache", go())
    assert found.provided
    assert sorted(file.name for file in found.bin.iterdir()) == sorted(engine.EXECUTABLES)
    assert all(os.access(file, os.X_OK) for file in found.bin.iterdir())
    assert len(builds(tmp_path)) == 2
    assert "building Pulumi" in capsys.readouterr().err


def test_go_needs_no_c_compiler_and_writes_into_our_cache(nowhere, go, tmp_path, monkeypatch):
    for variable in ("GOPATH", "GOMODCACHE", "GOCACHE", "CGO_ENABLED"):
        monkeypatch.delenv(variable, raising=False)
    engine.ensure(nowhere, tmp_path / "cache", go())
    for call in builds(tmp_path):
        assert "CGO_ENABLED=0" in call
        assert f"GOMODCACHE={tmp_path / 'cache' / 'go' / 'mod'}" in call


def test_with_nothing_to_go_by_the_error_says_why_and_what_to_install(nowhere, tmp_path):
    with pytest.raises(engine.EngineError) as error:
        engine.ensure(nowhere, tmp_path / "cache", "/nonexistent")
    text = str(error.value)
    for part in (
        "no `pulumi` on PATH",
        "answers 404",
        "no `go` on PATH",
        f"install Pulumi {PINS.engine_minimum} or newer",
        "connect this machine to the internet",
        f"install Go {PINS.go_minimum} or newer",
    ):
        assert part in text


def test_a_go_that_is_too_old_is_named(nowhere, go, tmp_path):
    with pytest.raises(engine.EngineError, match=r"go is Go 1\.24\.9, older than 1\.25"):
        engine.ensure(nowhere, tmp_path / "cache", go("go1.24.9"))


def test_a_failed_build_shows_what_go_said_and_leaves_no_engine(nowhere, go, tmp_path):
    with pytest.raises(engine.EngineError, match="no space left on device"):
        engine.ensure(nowhere, tmp_path / "cache", go(before="echo no space left on device; exit 1"))
    assert list((tmp_path / "cache" / "engine" / PINS.engine).iterdir()) == []


ENSURE = """
import json, sys
from pathlib import Path
from toolchain import engine, versions
pins, cache, path = sys.argv[1:]
print(engine.ensure(versions.Versions(**json.loads(pins)), Path(cache), path).bin)
"""


def ensure_elsewhere(pins: versions.Versions, cache: Path, path: str) -> subprocess.Popen[str]:
    """`engine.ensure` in a process of its own."""
    arguments = [sys.executable, "-c", ENSURE, json.dumps(vars(pins)), str(cache), path]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_build_once(nowhere, go, tmp_path):
    path = go(before="sleep 0.3")
    both = [ensure_elsewhere(nowhere, tmp_path / "cache", path) for _ in range(2)]
    answers = [process.communicate(timeout=30) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0][0] == answers[1][0]
    assert len(builds(tmp_path)) == 2  # the CLI and the language host, once each
    assert "waiting for another process that is setting up Pulumi" in answers[0][1] + answers[1][1]


def test_a_killed_build_leaves_nothing_that_looks_like_an_engine(nowhere, go, tmp_path):
    cache = tmp_path / "cache"
    stop = tmp_path / "stop"
    blocked = go(before=f"while [ ! -e '{stop}' ]; do sleep 0.05; done")
    killed = ensure_elsewhere(nowhere, cache, blocked)
    deadline = time.monotonic() + 20
    while not builds(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    stop.touch()
    found = engine.ensure(nowhere, cache, go())
    assert [folder.name for folder in found.bin.parent.iterdir()] == ["bin"]


def test_a_machine_without_a_release_is_told_so(pins, tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(engine.EngineError, match="there is no release for Linux on riscv64"):
        engine.ensure(pins(b""), tmp_path / "cache", "/nonexistent")
