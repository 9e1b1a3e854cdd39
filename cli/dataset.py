"""What is in a dataset, what is wrong with it, and how many steps it makes: for a person, or as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.dataset.buckets import Buckets
from components.dataset.check import Report, check
from components.dataset.layout import discover
from components.dataset.problems import Problem, Severity, shown
from components.dataset.steps import Estimate, estimate

if TYPE_CHECKING:
    from pathlib import Path

    from components.dataset.images import Subset

_SHOWN: Final = 5
_STYLES: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def run(
    folder: Path,
    *,
    as_json: bool,
    batch_size: int,
    epochs: int,
    resolution: int,
    class_tokens: str,
    caption_extension: str,
) -> int:
    """Check `folder` for a LoRA with fragua's default buckets; return 1 if it would be refused, else 0."""
    buckets = Buckets((resolution, resolution), least=min(512, resolution), most=max(2048, resolution))
    layout = discover(folder, class_tokens=class_tokens, caption_extension=caption_extension)
    report = check(layout.subsets, buckets, layout.problems)
    steps = estimate(report.subsets, buckets, batch_size=batch_size, epochs=epochs)
    if as_json:
        print(json.dumps(_data(folder, report, steps), indent=2))
    else:
        _print(
            folder,
            report,
            steps,
            f"batch size {batch_size}, {_counted(epochs, 'epoch')}, {resolution} pixels",
        )
    return 1 if report.errors else 0


def _data(folder: Path, report: Report, steps: Estimate) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "errors": len(report.errors),
        "warnings": len(report.warnings),
        "subsets": [
            {
                "path": str(subset.path),
                "repeats": subset.repeats,
                "class_tokens": subset.class_tokens,
                "is_reg": subset.is_reg,
                "images": len(subset.images),
                "captions": _captions(subset),
                "sizes": sorted({image.size for image in subset.images}),
            }
            for subset in report.subsets
        ],
        "problems": [
            {
                "kind": problem.kind.name,
                "severity": problem.kind.severity,
                "file": str(problem.file),
                "what": problem.what,
                "remedy": problem.kind.remedy,
            }
            for problem in report.problems
        ],
        "estimate": asdict(steps),
    }


def _print(folder: Path, report: Report, steps: Estimate, training: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if report.subsets:
        console.print(_table(folder, report))
    groups: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in (*report.errors, *report.warnings):
        groups[problem.kind.name].append(problem)
    for problems in groups.values():
        _print_group(console, folder, problems)
    if steps.steps:
        console.print(Text(f"\n{training}: {_sum(steps)}"))
    errors, warnings = len(report.errors), len(report.warnings)
    verdict = "it would be refused" if errors else "it can be trained on"
    counts = f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
    console.print(Text(f"\n{counts}: {verdict}", style="red" if errors else "green"))


def _table(folder: Path, report: Report) -> Table:
    table = Table("folder", box=None, pad_edge=False)
    for heading in ("images", "repeats", "captions", "smallest", "largest"):
        table.add_column(heading, justify="right")
    table.add_column("class tokens")
    for subset in report.subsets:
        sizes = sorted((image.size for image in subset.images), key=lambda size: size[0] * size[1])
        ends = [f"{width}x{height}" for width, height in (sizes[0], sizes[-1])] if sizes else ["", ""]
        name = f"{_within(folder, subset.path)}{' (regularisation)' if subset.is_reg else ''}"
        counts = map(str, (len(subset.images), subset.repeats, _captions(subset)))
        table.add_row(Text(name), *counts, *ends, Text(subset.class_tokens))
    return table


def _print_group(console: Console, folder: Path, problems: list[Problem]) -> None:
    kind = problems[0].kind
    title = f"\n{kind.severity}: {kind.name.replace('-', ' ')} ({len(problems)})"
    console.print(Text(title, style=_STYLES[kind.severity]))
    for problem in problems[:_SHOWN]:
        console.print(Text(f"  {_within(folder, problem.file)}: {problem.what}"))
    if len(problems) > _SHOWN:
        console.print(Text(f"  and {len(problems) - _SHOWN} more"))
    console.print(Text(f"  -> {kind.remedy}", style="bold"))


def _sum(steps: Estimate) -> str:
    regularisation = f" and {steps.reg_images:,} of regularisation" if steps.reg_images else ""
    images, buckets = _counted(steps.train_images, "image"), _counted(len(steps.buckets), "bucket")
    batches = _counted(steps.batches_per_epoch, "batch", "batches")
    return (
        f"an epoch shows {images}{regularisation} in {buckets}, as {batches} "
        f"({steps.partial_batches} not full); {_counted(steps.steps, 'step')} in all"
    )


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _captions(subset: Subset) -> int:
    return sum(image.caption is not None for image in subset.images)


def _within(folder: Path, path: Path) -> str:
    return shown(path.relative_to(folder)) if path != folder and path.is_relative_to(folder) else shown(path)
