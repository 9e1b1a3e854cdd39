"""How time and API calls grow with 1, 10 and 50 machines, against what the API's own pace allows.

The bound is computed from the calls that were made: each endpoint may be called once in so many seconds, so
`(calls - 1) x spacing` of the slowest endpoint passes whatever a client does.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from bench.world import Project, calls, cloud
from cli.project import lay_out
from components.vast.client import SPACING

_COUNTS: Final = (1, 10, 50)
_SCALE: Final = 30.0

_ENDPOINTS: Final = {
    r"POST /api/v0/bundles": "search",
    r"(PUT|POST) /api/v0/asks/.+": "create",
    r"GET /api/v1/instances": "list",
    r"POST /api/v0/instances/\d+/ssh": "attach",
    r"DELETE /api/v0/instances.*": "destroy",
    r"\w+ /api/v0/ssh.*": "keys",
    r"GET /api/v0/users/current": "user",
    r"GET /api/v0/charges": "charges",
}


def main(root: Path) -> None:
    """Measure and print."""
    print("machines   up s   bound s   ratio   calls   calls a machine   calls by endpoint", flush=True)
    for count in _COUNTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with cloud(root, folder, _SCALE) as variables:
                _measure(root, folder, variables, count)


def _measure(root: Path, folder: Path, variables: dict[str, str], count: int) -> None:
    lay_out(root / "bench" / "fleet_program", folder / "fleet")
    project = Project(folder / "fleet", variables, count=str(count))
    seconds = project.pulumi("up", "--yes", "--skip-preview")
    made = Counter(_endpoint(call["method"], call["path"]) for call in calls(variables))
    project.pulumi("destroy", "--yes", "--skip-preview")
    bound = max((number - 1) * SPACING[endpoint] for endpoint, number in made.items())
    total = made.total()
    kinds = ", ".join(f"{endpoint} {number}" for endpoint, number in made.most_common())
    ratio = f"{seconds / bound:7.2f}" if bound else "      -"
    print(
        f"{count:8} {seconds:6.1f} {bound:9.1f} {ratio} {total:7} {total / count:17.1f}   {kinds}", flush=True
    )


def _endpoint(method: str, path: str) -> str:
    call = f"{method} {path}"
    return next(name for pattern, name in _ENDPOINTS.items() if re.fullmatch(pattern, call))
