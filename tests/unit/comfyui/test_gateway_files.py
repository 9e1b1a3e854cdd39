"""What is left on a machine for the gateway: settings that it knows, and files that root alone reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.comfyui import gateway
from components.spec.infer import Gateway
from gateway.settings import Settings

SPEC = Gateway(rate=7, queue=3, timeout="90s", keep="12h", keep_size=2.5, body=4)  # type: ignore[arg-type]


def test_every_setting_is_one_that_the_gateway_reads(tmp_path: Path) -> None:
    written = gateway.settings(SPEC, "n2", "ComfyUI")
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in written.items()))
    read = Settings(_env_file=tmp_path / ".env")  # type: ignore[call-arg]
    names = {
        str(field.validation_alias or f"GATEWAY_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }

    assert written.keys() <= names
    assert (read.name, read.rate, read.queue, read.timeout) == ("n2", 7, 3, 90)
    assert (read.keep_hours, read.keep_gb, read.body_mb) == (12, 2.5, 4)
    assert (read.host, read.port) == ("0.0.0.0", 8000)
    assert read.comfyui_url == "http://127.0.0.1:18188"


def test_through_a_tunnel_it_listens_on_loopback_without_a_certificate() -> None:
    written = gateway.settings(Gateway(expose="tunnel"), "n1", "/opt/ComfyUI")

    assert written["API_HOST"] == "127.0.0.1"
    assert not [name for name in written if "TLS" in name]
    assert written["COMFYUI_FOLDER"] == "/opt/ComfyUI"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_files_arrive_as_they_are_for_root_alone(tmp_path_factory, text: str) -> None:  # type: ignore[no-untyped-def]
    workspace = tmp_path_factory.mktemp("workspace")
    subprocess.run(
        ["bash", "-s"], input=gateway.files_script({"tokens": text}).encode(), cwd=workspace, check=True
    )
    file = workspace / gateway.FOLDER / "tokens"

    assert file.read_bytes() == text.encode()
    assert file.stat().st_mode & 0o777 == 0o600
