"""What every stack's state holds of the providers, and what loading them costs."""

from __future__ import annotations

import base64
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider

from components.comfyui.provider import FrontProvider, ServiceProvider, TokensProvider
from components.kohya.provider import TrainingRunProvider
from components.remote.provider import FileProvider, FolderProvider
from components.vast.gang import GangProvider
from components.vast.provider import InstanceProvider, SshKeyProvider

ROOT = Path(__file__).parents[2]

GOLDEN: dict[type[ResourceProvider], str] = {
    SshKeyProvider: ("gASVMgAAAAAAAACMGGNvbXBvbmVudHMudmFzdC5wcm92aWRlcpSMDlNzaEtleVByb3ZpZGVylJOUKYGULg=="),
    InstanceProvider: (
        "gASVNAAAAAAAAACMGGNvbXBvbmVudHMudmFzdC5wcm92aWRlcpSMEEluc3RhbmNlUHJvdmlkZXKUk5QpgZQu"
    ),
    GangProvider: "gASVLAAAAAAAAACMFGNvbXBvbmVudHMudmFzdC5nYW5nlIwMR2FuZ1Byb3ZpZGVylJOUKYGULg==",
    FolderProvider: ("gASVNAAAAAAAAACMGmNvbXBvbmVudHMucmVtb3RlLnByb3ZpZGVylIwORm9sZGVyUHJvdmlkZXKUk5QpgZQu"),
    FileProvider: "gASVMgAAAAAAAACMGmNvbXBvbmVudHMucmVtb3RlLnByb3ZpZGVylIwMRmlsZVByb3ZpZGVylJOUKYGULg==",
    ServiceProvider: (
        "gASVNgAAAAAAAACMG2NvbXBvbmVudHMuY29tZnl1aS5wcm92aWRlcpSMD1NlcnZpY2VQcm92aWRlcpSTlCmBlC4="
    ),
    FrontProvider: ("gASVNAAAAAAAAACMG2NvbXBvbmVudHMuY29tZnl1aS5wcm92aWRlcpSMDUZyb250UHJvdmlkZXKUk5QpgZQu"),
    TokensProvider: (
        "gASVNQAAAAAAAACMG2NvbXBvbmVudHMuY29tZnl1aS5wcm92aWRlcpSMDlRva2Vuc1Byb3ZpZGVylJOUKYGULg=="
    ),
    TrainingRunProvider: (
        "gASVOAAAAAAAAACMGWNvbXBvbmVudHMua29oeWEucHJvdmlkZXKUjBNUcmFpbmluZ1J1blByb3ZpZGVylJOUKYGULg=="
    ),
}
"""What the state of stacks in the world holds. Never change one: `pulumi destroy` loads it."""

PROVIDERS = pytest.mark.parametrize("provider", GOLDEN, ids=lambda provider: provider.__name__)


def python(code: str, folder: Path = ROOT) -> str:
    """Run code in a fresh interpreter that finds the modules in `folder`."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@PROVIDERS
def test_a_provider_is_what_the_states_of_stacks_hold(
    provider: type[ResourceProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickle, "DEFAULT_PROTOCOL", 4)

    assert serialize_provider(provider()) == GOLDEN[provider]


@PROVIDERS
def test_what_the_states_of_stacks_hold_is_still_that_provider(provider: type[ResourceProvider]) -> None:
    assert type(pickle.loads(base64.b64decode(GOLDEN[provider]))) is provider


@PROVIDERS
def test_a_provider_goes_by_reference(provider: type[ResourceProvider]) -> None:
    """By value, the state would hold byte code, and whatever the provider knows."""
    held = base64.b64decode(serialize_provider(provider()))

    assert len(held) < 100
    assert provider.__module__.encode() in held


@PROVIDERS
def test_a_provider_is_no_secret(provider: type[ResourceProvider]) -> None:
    """So that the state can be read; there is nothing in it to hide."""
    assert provider().serialize_as_secret_always is False
    assert vars(provider()) == {}


def test_an_edit_of_the_code_changes_nothing_in_the_state(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "components", tmp_path / "components")
    module = tmp_path / "components" / "vast" / "provider.py"
    edited = module.read_text().replace(
        "def create(", "def made_before(self) -> None: ...\n\n    def create("
    )
    module.write_text(f"{edited}\nEDITED = True\n")
    code = (
        "import pickle; pickle.DEFAULT_PROTOCOL = 4\n"
        "from pulumi.dynamic.dynamic import serialize_provider\n"
        "from components.vast.provider import EDITED, InstanceProvider\n"
        "print(serialize_provider(InstanceProvider()))"
    )

    assert python(code, tmp_path) == GOLDEN[InstanceProvider]


BUDGET_SECONDS = 0.3


def test_loading_the_provider_is_quick() -> None:
    """The engine loads it for every preview. Measured over what any such provider needs, in CPU time."""
    code = (
        "import time, pulumi.dynamic, requests\n"
        "from pydantic import BaseModel, TypeAdapter\n"
        "start = time.process_time()\n"
        "import components.vast.provider\n"
        "print(time.process_time() - start)"
    )

    assert min(float(python(code)) for _ in range(4)) < BUDGET_SECONDS


@pytest.mark.parametrize(
    "module",
    [
        "components.vast.provider",
        "components.vast.gang",
        "components.remote.provider",
        "components.kohya.provider",
        "components.comfyui.provider",
    ],
)
def test_loading_a_provider_loads_neither_models_nor_http_nor_ssh(module: str) -> None:
    heavy = {"pydantic", "requests", "fabric", "paramiko"}
    code = f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))"

    assert python(code) == "[]"
