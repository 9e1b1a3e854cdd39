"""The demo: the main job from nothing to an image by one's own LoRA, on the simulator, and its bill.

Everything it keeps lies under `.fragua/demo`, checkpoint and image under `output/`.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

import requests
from pulumi import automation as auto
from rich.box import SIMPLE
from rich.table import Table

from cli import scenes, simulation
from cli.console import Voice, bar
from cli.generate import Endpoint, described, generate
from cli.generate import teller as progress
from cli.project import known, lay_out, listener, reason
from cli.watch import watch
from components.errors import FraguaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SCALE: Final = 60
"""Virtual seconds per second: an hour of rented GPU passes in a minute."""

_SENT: Final = re.compile(r" sent .*\((\d+) %\)")
_IMAGES: Final = 20
_JOB: Final = {
    "training.epochs": 8,
    "training.save_every_epochs": 4,
    "dataset.repeats": 6,
    "samples.every_epochs": 4,
    "samples.prompts[0].prompt": "papercut landscape, a lake behind hills at dusk",
}
_PROMPT: Final = {"prompt": "papercut landscape, snowy hills behind a lake at night, three birds", "seed": 7}


def run(root: Path, *, keep: bool) -> int:
    """Run the demo and return its exit code; its last line says PASS or FAIL and why."""
    home = root / ".fragua" / "demo"
    voice = Voice()
    try:
        passed = _demo(root, home, voice, keep=keep)
    except auto.CommandError as error:
        passed = f"FAIL {reason(error)}"
    except (FraguaError, OSError) as error:
        voice.still()
        voice.line(str(error))
        passed = f"FAIL {str(error).strip().splitlines()[0]}"
    except KeyboardInterrupt:
        passed = "FAIL interrupted"
    voice.still()
    print(f"demo: {passed}", flush=True)
    return 0 if passed.startswith("PASS") else 1


def _demo(root: Path, home: Path, voice: Voice, *, keep: bool) -> str:
    begin = time.monotonic()
    _clear(root, home, voice)
    dataset = home / "dataset"
    with ExitStack() as ends:
        voice.title("A Vast.ai of our own, on loopback")
        cloud = ends.enter_context(simulation.running(root, home / "cloud", scale=_SCALE, keep=keep))
        voice.line(f"simulator at {cloud['VAST_URL']}: {_SCALE} seconds pass there in each of ours")
        scenes.make(dataset, _IMAGES)
        voice.line(f"dataset: {_IMAGES} drawn landscapes with captions in {dataset.relative_to(root)}")

        os.environ.update(_variables(home, cloud))
        lay_out(root, home / "project")
        stack = _stack(home, "demo", "sdxl-lora", {**_JOB, "dataset.path": dataset})
        serving = _stack(home, "demo-infer", "comfyui", {"models.loras.papercut.train": "demo"})
        if not keep:
            ends.callback(_destroy_quietly, [serving, stack], cloud)
        voice.title("pulumi up -s demo: rent, verify, provision, upload, start the training")
        stack.up(on_event=listener(_teller(voice)))
        outputs = known(stack)
        voice.still()
        for name in ("instance", "gpu", "pricePerHour", "address", "run", "steps"):
            voice.line(f"{name}: {outputs[name]}")

        voice.title("Watching the training")
        checkpoints = watch(stack, root, voice)

        voice.title("pulumi up -s demo-infer: rent, install ComfyUI and the gateway, load the LoRA")
        serving.up(on_event=listener(_teller(voice)))
        image = _image(known(serving), checkpoints[-1], voice) if checkpoints else None

        if keep:
            voice.title("Kept up, as asked")
            folder = (home / "project").relative_to(root)
            voice.line(f"look around: cd {folder}; the simulator bills until the next ./fragua demo")
        else:
            for each in (serving, stack):
                voice.title(f"pulumi destroy -s {each.name}")
                each.destroy(on_event=listener(_teller(voice)))
            voice.line("the account's own list shows no instance of ours")
        voice.title("The bill, from the simulator's ledger")
        ledger = requests.get(f"{cloud['VAST_URL']}/_sim/ledger", timeout=30).json()
        _show(ledger, voice)
        voice.line(f"this took {time.monotonic() - begin:.0f} s here")
    total, billing = ledger["total"], ledger["billing_now"]
    ended = (
        f"checkpoints={len(checkpoints)} images={int(bool(image))} billed=${total:.2f} billing-now={billing}"
    )
    if not checkpoints:
        return f"FAIL no checkpoint came home; {ended}"
    if billing and not keep:
        return f"FAIL something still bills; {ended}"
    return f"PASS {ended}"


def _variables(home: Path, cloud: dict[str, str]) -> dict[str, str]:
    state = home / "state"
    state.mkdir()
    return {
        **cloud,
        "PULUMI_BACKEND_URL": state.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "demo",
        "FRAGUA_HOME": str(home),
    }


def _stack(home: Path, name: str, job: str, override: dict[str, object]) -> auto.Stack:
    stack = auto.create_stack(name, work_dir=str(home / "project"))
    stack.set_config("job", auto.ConfigValue(f"configs/{job}.yaml"))
    for path, value in override.items():
        stack.set_config(f"override.{path}", auto.ConfigValue(str(value)), path=True)
    return stack


def _image(outputs: dict[str, Any], checkpoint: Path, voice: Voice) -> Path:
    """Make one image through the gateway and save it beside the checkpoint."""
    voice.still()
    for name in ("instance", "gpu", "pricePerHour", "gateway", "fingerprint"):
        voice.line(f"{name}: {outputs[name]}")
    voice.title("POST /jobs: an image by the LoRA that was just trained")
    image, job = generate(Endpoint.of(outputs), _PROMPT, progress(voice))
    voice.still()
    file = checkpoint.with_name("image.png")
    file.write_bytes(image)
    voice.line(f"{os.path.relpath(file)}: {described(job)}")
    return file


def _teller(voice: Voice) -> Callable[[str], None]:
    """Show what moves (uploads, waiting) in one line, and keep what happened."""

    def tell(line: str) -> None:
        if share := _SENT.search(line):
            voice.moving(f"{bar(int(share[1]), 100)} {line}")
        elif line.startswith(("install:", "base-model:", "starting:")):
            voice.moving(line)
        else:
            voice.line(line)

    return tell


_KINDS: Final = {"gpu": "GPU", "disk": "disk", "bwd": "download", "bwu": "upload"}


def _show(ledger: dict[str, Any], voice: Voice) -> None:
    """Print every segment of the bill: seconds at $/h, or GB at $/GB."""
    table = Table("instance", "for", "how much", "at", "$", box=SIMPLE)
    for contract in ledger["contracts"]:
        for part in contract["segments"]:
            timed = part["kind"] in ("gpu", "disk")
            quantity = f"{part['quantity']:,} s" if timed else f"{part['quantity'] / 1e9:.3f} GB"
            rate = f"{part['rate'] / 1e9:.4f} $/{'h' if timed else 'GB'}"
            amount = f"{part['amount'] / 1e9:.4f}"
            table.add_row(str(contract["id"]), _KINDS[part["kind"]], quantity, rate, amount)
        gpu = f"{contract['num_gpus']}x {contract['gpu_name']}"
        table.add_row("", gpu, "", "in all", f"{contract['total']:.4f}", style="bold")
    voice.console.print(table)
    voice.line(f"{ledger['billing_now']} instances billing")


def _destroy_quietly(stacks: list[auto.Stack], cloud: dict[str, str]) -> None:
    """After a failure, destroy what is left; after a success there is nothing to do."""
    with suppress(requests.RequestException):
        ledger = requests.get(f"{cloud['VAST_URL']}/_sim/ledger", timeout=30).json()
        if not ledger["billing_now"]:
            return
    for stack in stacks:
        with suppress(auto.CommandError):
            stack.destroy()


def _clear(root: Path, home: Path, voice: Voice) -> None:
    """End and forget an earlier demo that was kept up."""
    if simulation.end(home / "cloud"):
        voice.line("ended the simulator of an earlier demo")
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(root / "output" / "demo", ignore_errors=True)
    home.mkdir(parents=True)
