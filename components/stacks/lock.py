"""The lock file: what a team approved for a stack, to be committed beside `Pulumi.STACK.yaml`."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Annotated, Final

import yaml
from pydantic import AwareDatetime, Field, ValidationError

from components.cost.purchase import OfferClass
from components.errors import SpecError
from components.spec.base import Spec

if TYPE_CHECKING:
    from pathlib import Path

    from components.cost.quote import Quote

_ROUNDED: Final = 0.00005
"""$/h that a quote may be below the price that it is of."""
_HEAD: Final = (
    "# What may be rented for this stack. Written by `./fragua cost {0} --lock` from what a preview showed.\n"
)


class Lock(Spec):
    """What may be rented, and at what price."""

    digest: str
    """Of what was priced; another one makes the lock stale."""
    when: AwareDatetime
    max_total: Annotated[float, Field(gt=0)]
    """$ that the whole job may be expected to cost."""
    classes: Annotated[tuple[OfferClass, ...], Field(min_length=1)]
    """In the order of their price when it was made; no other is rented."""

    @staticmethod
    def of(quote: Quote, old: Lock | None = None) -> Lock:
        """Return the lock that approves `quote`: its classes, each with the slack of its budget.

        A quote of what runs knows no other class: those of the `old` lock are kept beside it.

        Raises:
            SpecError: there is nothing to approve.
        """
        if not quote.options or quote.ceiling is None or quote.source == "preset":
            raise SpecError(
                "no prices of the market were shown that could be locked: `pulumi preview` shows them"
            )
        more = 1 + quote.slack
        classes = {
            (each.gpu, each.gpus, each.interruptible): (
                ceil((max(each.price, each.most) + _ROUNDED) * more * 1000) / 1000
            )
            for each in quote.options
        }
        if old and quote.source == "what runs":
            for kept in old.classes:
                name = (kept.gpu, kept.gpus, kept.interruptible)
                classes[name] = max(kept.max_price, classes.get(name, 0))
        return Lock(
            digest=quote.digest,
            when=datetime.fromtimestamp(round(quote.when), UTC),
            max_total=quote.ceiling,
            classes=tuple(
                OfferClass(gpu=gpu, gpus=gpus, interruptible=interruptible, max_price=most)
                for (gpu, gpus, interruptible), most in classes.items()
            ),
        )

    def check(self, digest: str, stack: str, path: Path) -> None:
        """Refuse a lock that was made for something else.

        Raises:
            SpecError: it is stale.
        """
        if self.digest != digest:
            raise SpecError(
                f"{path}: stale: it was made on {self.when:%Y-%m-%d} for another job, node or budget (digest "
                f"{self.digest}, now {digest}). `./fragua cost {stack}` tells the new "
                f"price: approve it by `./fragua cost {stack} --lock`, or delete the file"
            )


def file(folder: Path, stack: str) -> Path:
    """Return the lock file of a stack, in the `folder` of the checkout: the program's own."""
    return folder / f"Pulumi.{stack}.lock.yaml"


def read(path: Path, stack: str) -> Lock | None:
    """Return the lock in `path`; None where there is none.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        return Lock.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = str(error).splitlines()[0]
    except ValidationError as error:
        [first, *_] = error.errors()
        problem = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    raise SpecError(
        f"{path}: cannot be read: {problem}. Make it again by `./fragua cost {stack} --lock`, or delete it"
    )


def write(path: Path, lock: Lock, stack: str) -> None:
    """Write `lock` to `path`."""
    content = yaml.safe_dump(lock.model_dump(mode="json"), sort_keys=False)
    path.write_text(_HEAD.format(stack) + content, encoding="utf-8")
