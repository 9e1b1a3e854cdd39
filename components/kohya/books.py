"""The books of a run: its ledger at home, and the copy on the machine that another computer can follow."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from components.errors import FraguaError
from components.kohya.ledger import Ledger, Part, Saved, brought, epoch_of, next_part, read, write
from components.kohya.options import LORA
from components.remote.job import WORKSPACE
from components.remote.manifest import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from components.kohya.launch import Launch
    from components.kohya.progress import Progress
    from components.remote.shell import Shell

LEDGER: Final = "ledger.json"

_KEEP_EVERY: Final = 5.0
"""Seconds; between two writes of what only counts steps."""


class Books:
    """The ledger of a run, open.

    Attributes:
        ledger: as it was last kept.
    """

    def __init__(self, launch: Launch, home: Path, shell: Shell | None = None) -> None:
        """Open the ledger at `home`; where there is none, the copy on the machine, or a new one.

        Raises:
            FraguaError: the ledger is damaged.
        """
        self._launch, self._home, self._kept = launch, home, 0.0
        self.ledger = read(home / LEDGER) or Ledger(
            run=launch.run,
            name=launch.variants[0].options["output_name"],
            script=launch.script,
            epochs=launch.epochs,
            states=bool(launch.variants[0].options.get("save_state")),
        )
        if shell:
            self.find(shell)

    def find(self, shell: Shell) -> None:
        """Where the machine knows of more parts than this computer, take the ledger that lies there.

        It is another computer's: what is not here as well does not count as being at home. The host of the
        machine can write it, so that only the run's own names are taken from it.

        Raises:
            FraguaError: it is damaged.
        """
        path = f"{self._launch.folder}/{LEDGER}"
        text = shell.run("reading the run's ledger", f'cat "{WORKSPACE}/"{path} 2>/dev/null || true')
        if text:
            self.adopt(text, f"{path} on the machine")

    def adopt(self, text: str, where: str) -> None:
        """Take over the ledger that lies elsewhere, as `find` does.

        Raises:
            FraguaError: it is damaged.
        """
        try:
            found = Ledger.model_validate_json(text)
        except ValidationError as error:
            raise _damaged(where, error.errors()[0]["msg"]) from None
        if len(found.parts) <= len(self.ledger.parts):
            return
        trained = {"parts": found.parts, "steps_per_epoch": found.steps_per_epoch}
        ledger = self.ledger.model_copy(update=trained)
        for index, part in enumerate(ledger.parts, 1):
            folder = self._home / part.folder
            for saved in part.saved:
                if part.index != index or epoch_of(ledger, part, saved.name) != saved.epoch:
                    raise _damaged(where, f"{part.folder}: {saved.name}")
                if not all(_is(folder / path, digest) for path, digest in saved.files.items()):
                    ledger = brought(ledger, part.index, saved.name, {})
        self.keep(ledger)

    @property
    def complete(self) -> bool:
        """Whether the last checkpoint is at home, which comes only when the trainer said that it is saved."""
        return next_part(self.ledger).done >= self.ledger.epochs

    @property
    def checkpoints(self) -> dict[Path, str]:
        """The SHA-256 of every checkpoint at home, in the order of epochs."""
        home = {
            saved.epoch: (self._home / self._shown(saved), saved.files[saved.name])
            for part in self.ledger.parts
            for saved in part.saved
            if saved.kind == "checkpoint" and saved.files
        }
        return dict(home[epoch] for epoch in sorted(home))

    def overall(self, progress: Progress) -> Progress:
        """Return the last part's progress as that of the whole run."""
        per_epoch, done = self.ledger.steps_per_epoch, self.ledger.parts[-1].done
        if not per_epoch:
            return progress
        return replace(
            progress,
            step=done * per_epoch + progress.step,
            total=self.ledger.epochs * per_epoch,
            epoch=progress.epoch + (0 if self.ledger.script == LORA else done),
            epochs=self.ledger.epochs,
            points=tuple((done * per_epoch + step, loss) for step, loss in progress.points),
        )

    def keep(self, ledger: Ledger, shell: Shell | None = None) -> None:
        """Write the ledger at home and, with a `shell`, on the machine; mere steps only now and then."""
        now, before = time.monotonic(), self.ledger
        if _without_steps(ledger) == _without_steps(before) and now - self._kept < _KEEP_EVERY:
            self.ledger = ledger
            return
        self.ledger, self._kept = ledger, now
        try:
            write(self._home / LEDGER, ledger)
        except OSError as error:
            raise FraguaError(f"{self._home / LEDGER}: {error.strerror}") from None
        if shell:
            text = ledger.model_dump_json()
            shell.run(
                "keeping the run's ledger on the machine",
                f'cd "{WORKSPACE}" && mkdir -p {self._launch.folder} && cd {self._launch.folder} && '
                f"cat > {LEDGER}.new && [ $(stat -c %s {LEDGER}.new) = {len(text.encode())} ] && "
                f"mv {LEDGER}.new {LEDGER}",
                stdin=text,
            )

    def _shown(self, saved: Saved) -> str:
        """Return the name of a checkpoint beside the parts, by the run's own epoch."""
        number = "" if saved.epoch == self.ledger.epochs else f"-{saved.epoch:06}"
        return f"{self.ledger.name}{number}.safetensors"


def _without_steps(ledger: Ledger) -> list[Part]:
    return [part.model_copy(update={"steps": 0}) for part in ledger.parts]


def _damaged(where: str, what: str) -> FraguaError:
    return FraguaError(
        f"{where}: this ledger of a run is damaged, or another version's ({what}). Copy the one of the "
        "computer that began the run to this one, or remove it there to train from the first epoch."
    )


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest
