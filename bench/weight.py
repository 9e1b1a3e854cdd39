"""How heavy is the program itself? Preview and up, against the smallest program with the same two plugins.

Both are measured in turn, so that a machine that slows down slows both. `up` of fragua also rents, boots,
uploads and waits for the first training step on a simulator that runs 600 times as fast as the clock.
At last, what a second preview saves, which knows the images of a large dataset from the first one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from bench.world import Project, cloud, photographs
from cli import scenes
from cli.project import lay_out

_RUNS: Final = 7
_SCALE: Final = 600.0
_PHOTOGRAPHS: Final = 2000


def main(root: Path) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with cloud(root, folder, _SCALE) as variables:
            smallest, fragua = _projects(root, folder, variables)
            compare("preview, nothing is up", smallest, fragua, ("preview",))
            ups = [project.pulumi("up", "--yes", "--skip-preview") for project in (smallest, fragua)]
            print(f"up from nothing, once: {ups[0]:.2f} s and {ups[1]:.2f} s; ratio {ups[1] / ups[0]:.2f}")
            compare("preview, all is up", smallest, fragua, ("preview", "--expect-no-changes"))
            compare("up, all is up", smallest, fragua, ("up", "--yes", "--skip-preview"))
            for project in (smallest, fragua):
                project.pulumi("destroy", "--yes", "--skip-preview")
            photographs(folder / "photographs", _PHOTOGRAPHS, "jpg")
            fragua.pulumi("config", "set", "--path", "override.dataset.path", str(folder / "photographs"))
            first, second = (fragua.pulumi("preview") for _ in range(2))
            print(
                f"preview of {_PHOTOGRAPHS:,} photographs: {first:.2f} s, and again {second:.2f} s; "
                f"ratio {second / first:.2f}"
            )


def compare(what: str, smallest: Project, fragua: Project, arguments: tuple[str, ...]) -> None:
    """Run both in turn and print the medians and the ratio pair by pair."""
    pairs = [(smallest.pulumi(*arguments), fragua.pulumi(*arguments)) for _ in range(_RUNS)]
    base, ours = (median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(ours / base for base, ours in pairs)
    print(
        f"{what}: smallest {base:.2f} s, fragua {ours:.2f} s (medians of {_RUNS}); "
        f"ratio {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), aim for preview: at most 1.3",
        flush=True,
    )


def _projects(root: Path, folder: Path, variables: dict[str, str]) -> tuple[Project, Project]:
    lay_out(root / "bench" / "smallest", folder / "smallest")
    lay_out(root, folder / "fragua")
    scenes.make(folder / "dataset", 20)
    job = {
        "job": "configs/sdxl-lora.yaml",
        "override__dataset__path": str(folder / "dataset"),
        "override__training__epochs": "2",
    }
    return Project(folder / "smallest", variables), Project(folder / "fragua", variables, **job)
