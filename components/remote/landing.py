"""The machine's side of a transfer: what is there, and how the new comes into place.

`FOLDER.incoming` takes what is sent, until all of it is verified. A receipt keeps what was verified then, so
that only what was written to since is hashed again.
"""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from components.errors import TransferFailed
from components.remote.job import WORKSPACE
from components.remote.manifest import Found
from components.remote.pipe import tended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from components.remote.manifest import Manifest
    from components.remote.shell import Shell

_SECONDS: Final = 3600
"""Without a word from the machine: it hashes, or removes many files."""

_SILENCE: Final = 40
_PATIENCE: Final = 60
"""Seconds that a sender is not heard until it counts as gone, and that another waits for its folder."""

HASH: Final = "$(command -v openssl > /dev/null && echo openssl dgst -sha256 -r || echo sha256sum)"
"""Hashes its input, or files whose names begin with `./`. Most builds of openssl are much faster at it."""

_FIND: Final = r"-type f -printf '%s:%T@:%i %P\0'"


class Landing:
    """A folder on a machine, relative to the workspace, and the side folder for what is sent."""

    def __init__(self, shell: Shell, folder: str) -> None:
        """Describe it; nothing happens yet."""
        self.folder, self.side = folder, f"{folder}.incoming"
        self._shell, self._receipt = shell, f".fragua/received/{folder.replace('/', '%')}"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other senders away from the folder for the time of the block.

        The machine lets go of a sender that it does not hear, since a connection may end without a word.

        Raises:
            TransferFailed: another sender has it.
        """
        lock = f"{shlex.quote(self._receipt)}.lock"
        script = f"""exec 2>&1
cd "{WORKSPACE}" && mkdir -p .fragua/received && exec 9>> {lock} || exit
flock -w {_PATIENCE} 9 || {{ echo taken; exit; }}
echo alone
while read -r -t {_SILENCE}; do :; done"""
        seconds = {"every": _SILENCE / 4, "within": _PATIENCE + 60}
        with tended(self._shell, f"taking {self.folder}", script, **seconds) as said:
            if said == "taken":
                raise TransferFailed(
                    f"{self.folder}: another `pulumi up` or `./fragua watch` sends it to the machine; let "
                    "that end, or end it, then run this again"
                )
            if said != "alone":
                raise TransferFailed(f"{self.folder} cannot be locked on the machine: {said}")
            yield

    def look(self, manifest: Manifest) -> tuple[dict[str, Found], dict[str, Found]]:
        """Return the files of the folder and of the side folder, by path.

        A hash is there where the file's size does not already rule out that its content is the manifest's.
        """
        sums, stamps, folder, side = self._run(
            "looking for what is on the machine",
            f"""cat -- {shlex.quote(self._receipt)} 2>/dev/null || printf '\\0\\0'
for each in {self._folder} {self._side}; do
  printf '\\0\\0'
  [ ! -d "$each" ] || find "$each" {_FIND}
done""",
        ).split("\0\0")
        sizes, wanted = (
            {file.size for file in manifest.files},
            {file.path: file.size for file in manifest.files},
        )
        hashes = {path: digest for digest, path in _entries(sums)}
        known = {(stamp, path): hashes[path] for stamp, path in _entries(stamps) if path in hashes}
        return (
            self._found(self.folder, folder, known, lambda _, size: size in sizes),
            self._found(self.side, side, {}, lambda path, size: wanted.get(path) == size),
        )

    def prepare(self, stale: Iterable[str], needed: int) -> None:
        """Take the `stale` files out of the side folder, and see that `needed` bytes have room.

        Raises:
            TransferFailed: they have none.
        """
        words = self._run(
            "preparing the side folder",
            f"""mkdir -p -- {self._side} && cd {self._side} && xargs -0 -r rm -f --
find . -mindepth 1 -type d -empty -delete
stat -f -c '%a %S' .""",
            "\0".join(stale),
        ).split()
        check_room(self.folder, needed, words)

    def complete(self, halves: Iterable[str]) -> None:
        """Add to each half file in the side folder the end of its older version in the folder.

        So both serve as the basis of a delta.
        """
        self._run(
            "completing half files",
            f"""while IFS= read -r -d '' path; do
half={self._side}/$path
[ "$(stat -c %h -- "$half")" = 1 ] || continue # a link: it is no half file
tail -c +$(($(stat -c %s -- "$half") + 1)) -- {self._folder}/"$path" >> "$half"
done""",
            "".join(f"{path}\0" for path in halves),
        )

    def hashes(self, top: str, paths: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of each of `paths` in the folder `top`; one that cannot be read is left out."""
        return parse_sums(
            self._run(
                "hashing what is on the machine",
                f"cd {shlex.quote(top)} 2>/dev/null || exit 0\nxargs -0 -r {HASH} || true",
                "\0".join(f"./{path}" for path in paths),
            )
        )

    def digest(self, path: str) -> str:
        """Return the SHA-256 of a file in the side folder."""
        return self._run("hashing what was sent", f"{HASH} < {self._side}/{shlex.quote(path)}").split()[0]

    def move(self, manifest: Manifest, surplus: Iterable[str]) -> None:
        """Put what the side folder holds in place, and take the `surplus` away."""
        gone = "".join(f"{path}\0" for path in surplus)
        sums = "".join(f"{file.sha256} {file.path}\0" for file in manifest.files)
        receipt = shlex.quote(self._receipt)
        self._run(
            "putting the sent files in place",
            f"""set -e
mkdir -p -- {self._folder} .fragua/received
head -c {len(gone.encode())} | (cd {self._folder} && xargs -0 -r rm -f --)
find {self._folder} -mindepth 1 -type d -empty -delete
if rmdir -- {self._folder} 2>/dev/null; then
  mv -T -- {self._side} {self._folder}
else
  cp -al --remove-destination -T -- {self._side} {self._folder}
  rm -rf -- {self._side}
fi
{{ cat; find {self._folder} {_FIND}; }} > {receipt}.new
mv -- {receipt}.new {receipt}""",
            f"{gone}{sums}\0\0",
        )

    @property
    def _folder(self) -> str:
        return shlex.quote(self.folder)

    @property
    def _side(self) -> str:
        return shlex.quote(self.side)

    def _run(self, what: str, script: str, stdin: str = "") -> str:
        return self._shell.run(what, f'cd "{WORKSPACE}" || exit\n{script}', stdin, _SECONDS)

    def _found(
        self,
        top: str,
        listing: str,
        known: dict[tuple[str, str], str],
        likely: Callable[[str, int], bool],
    ) -> dict[str, Found]:
        there = {
            path: Found(int(stamp.partition(":")[0]), known.get((stamp, path), ""))
            for stamp, path in _entries(listing)
        }
        unknown = [path for path, each in there.items() if not each.sha256 and likely(path, each.size)]
        sums = self.hashes(top, unknown) if unknown else {}
        return {path: Found(each.size, sums.get(path, each.sha256)) for path, each in there.items()}


def check_room(what: str, needed: int, words: list[str]) -> None:
    """Raise unless `needed` bytes fit: `words` are what `stat -f -c '%a %S'` tells of the disk.

    Raises:
        TransferFailed: they do not.
    """
    free, block = map(int, words)
    if needed > free * block:
        raise TransferFailed(
            f"the machine's disk is full: {what} needs {needed / 1e6:.0f} MB more, "
            f"{free * block / 1e6:.0f} MB are free; raise node.disk, or remove something there"
        )


def parse_sums(output: str) -> dict[str, str]:
    """Return what `HASH` printed of files, by path: a hash, two characters, `./` and the path."""
    return {line[68:]: line[:64] for line in output.split("\n")}


def _entries(listing: str) -> Iterator[tuple[str, str]]:
    """Yield what comes before the first space of each entry, and the path behind it."""
    for entry in filter(None, listing.split("\0")):
        first, _, path = entry.partition(" ")
        yield first, path
