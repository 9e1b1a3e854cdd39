"""What a stack or a job costs, in words, as Markdown for a pull request, or as JSON; and the lock file."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from components.cost.render import markdown, text
from components.errors import FraguaError, SpecError
from components.spec.load import placed
from components.stacks import lock as locks
from components.stacks import shown
from components.stacks.asked import asked_by
from components.stacks.pricing import quoted, ranked

if TYPE_CHECKING:
    from components.cost.quote import Quote

Format = Literal["text", "markdown", "json"]


def run(root: Path, what: str, form: Format, *, lock: bool) -> None:
    """Print what the last preview of a stack showed, or what a job file costs on the market now.

    Args:
        root: the checkout, where lock files are.
        what: a stack, or a job file.
        form: how to print it.
        lock: approve it: write the stack's lock file.

    Raises:
        FraguaError: nothing was shown of that stack yet, or the job cannot be right.
    """
    if not what.endswith((".yaml", ".yml")):
        name, quote = what, _of_stack(what)
    elif lock:
        raise FraguaError("--lock: name a stack; what its last preview showed is approved")
    else:
        path = Path(what).expanduser()
        name, quote = path.name, _of_job(path)
    print(_rendered(name, quote, form), end="")
    if lock:
        path, old = locks.file(root, name), None
        with suppress(SpecError):  # one that cannot be read is made anew
            old = locks.read(path, name)
        locks.write(path, locks.Lock.of(quote, old), name)
        print(f"{path.name} is written: commit it. Until the job changes, `up` rents only what it names.")


def _of_stack(stack: str) -> Quote:
    if last := shown.read(stack):
        return last.quote
    raise FraguaError(
        f"nothing was shown of stack {stack} on this computer: `pulumi preview -s {stack}` first"
    )


def _of_job(path: Path) -> Quote:
    asked = asked_by(*placed(path))
    return quoted(asked, *ranked(asked))


def _rendered(name: str, quote: Quote, form: Format) -> str:
    if form == "markdown":
        return markdown(name, quote)
    if form == "text":
        return (
            "\n".join(
                [f"{name}: {line}" if not number else f"  {line}" for number, line in enumerate(text(quote))]
            )
            + "\n"
        )
    content = {**quote.model_dump(mode="json"), "price": quote.price, "total": quote.total, "p90": quote.p90}
    return json.dumps(content, indent=1) + "\n"
