"""Object storage that a node reads for itself, with secrets of this computer that no argument shows."""

from __future__ import annotations

import pytest
from node_workspace import Node

from components.dataset.fetch import NAME, fetch
from components.errors import SpecError
from components.remote.secret import secret_path
from components.remote.store import environment, environment_script
from components.spec.source import Rclone, Source

HERE = {
    "RCLONE_CONFIG_STORE_TYPE": "s3",
    "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": 'it\'s a "secret"\n$(touch hacked) `x`',
    "RCLONE_CONFIG_STORE_HASH_TYPE": "md5",
    "RCLONE_CONFIG_STORE_HASH_LENGTH": "1",
    "RCLONE_CONFIG_OTHER_TYPE": "s3",
    "HOME": "/root",
}
RCLONE = {"remote": "store", "path": "bucket/my cats"}


def test_object_storage_is_read_with_the_secrets_of_this_computer(node: Node) -> None:
    """A stand-in for rclone keeps what it was told: arguments, which anybody sees, and environment."""
    node.install(
        "rclone", 'printf "%s\\n" "$@" > told; env -0 > environment; mkdir -p "$3"; echo x > "$3/a.png"'
    )
    source = Source.model_validate({"rclone": RCLONE})
    secrets = environment("dataset.rclone", source.rclone, HERE)
    assert node.bash(environment_script(NAME, secrets)).returncode == 0

    done = node.fetch(rclone=RCLONE)

    assert (done.returncode, done.stdout) == (0, "images: 1\n"), done.stderr
    assert (node.workspace / "told").read_text().splitlines()[:3] == [
        "sync",
        "store:bucket/my cats",
        "dataset.rclone",
    ]
    told = dict(
        line.split("=", 1) for line in (node.workspace / "environment").read_text().split("\0") if line
    )
    assert {name: told[name] for name in told if name.startswith("RCLONE")} == {
        name: value for name, value in HERE.items() if name.startswith("RCLONE_CONFIG_STORE_")
    }
    job = fetch(source, "dataset")
    assert job is not None
    assert "secret" not in job.script.replace(secret_path(NAME), "")
    assert (node.workspace / secret_path(NAME)).stat().st_mode & 0o077 == 0
    assert not (node.workspace / "hacked").exists()


@pytest.mark.parametrize("field", ["dataset.rclone", "bucket"])
def test_a_remote_that_is_not_configured_is_refused_here(field: str) -> None:
    with pytest.raises(SpecError) as caught:
        environment(field, Rclone.model_validate(RCLONE), {"RCLONE_CONFIG_STORE_REGION": "eu"})

    assert str(caught.value) == (
        f"{field}.remote: store is not configured: set RCLONE_CONFIG_STORE_TYPE, such as s3, and what "
        "else that type needs, such as RCLONE_CONFIG_STORE_ACCESS_KEY_ID, in the environment"
    )


def test_a_remote_whose_name_begins_likewise_is_another_and_its_secrets_stay_here() -> None:
    more = {"RCLONE_CONFIG_STORE_TWO_TYPE": "b2", "RCLONE_CONFIG_STORE_TWO_KEY": "secret"}
    store = Rclone.model_validate(RCLONE)

    assert environment("bucket", store, HERE | more) == environment("bucket", store, HERE)
    assert environment("bucket", store.model_copy(update={"remote": "store_two"}), HERE | more) == more


def test_other_sources_need_no_secrets() -> None:
    assert environment("dataset.rclone", None, HERE) == {}
