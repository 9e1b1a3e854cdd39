"""The commands that fragua makes of a job, read back into options, and the dataset file beside them."""

from __future__ import annotations

import tomllib
from argparse import ArgumentParser
from typing import Any

from unit_models import roomy, settings_of

from components.kohya.ledger import Point
from components.kohya.options import FULL, LORA, Script, options
from components.kohya.plan import plan
from components.spec.train import TrainJob


def _parser(script: Script) -> ArgumentParser:
    found = ArgumentParser(allow_abbrev=False)
    for name, option in options(script).items():
        if option.type == "flag":
            found.add_argument(f"--{name}", action="store_const", const=True)
        else:
            found.add_argument(f"--{name}", nargs="*" if option.is_list else None)
    return found


_PARSERS = {script: _parser(script) for script in (FULL, LORA)}


def command(job: TrainJob) -> tuple[Script, dict[str, Any], dict[str, Any]]:
    """Return the script of `job`, the options of its command, and its dataset configuration."""
    job = roomy(job)
    launch = plan(job, settings_of(job), "d1").launch
    words = launch.command(1, Point(0), launch.variants[0]) or []
    place = next(index for index, word in enumerate(words) if word.endswith(".py"))
    script: Script = LORA if job.lora else FULL
    assert words[place] == f"sd-scripts/{script}"
    given = vars(_PARSERS[script].parse_args(words[place + 1 :]))
    named = {name: value for name, value in given.items() if value is not None}
    return script, named, tomllib.loads(launch.variants[0].dataset)
