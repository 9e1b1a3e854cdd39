"""The machine's side of a transfer: what is there, and how the new takes the old one's place.

`FOLDER.incoming` is filled beside `FOLDER` and then takes its place. A receipt keeps what was verified then,
so that only what was written to since is hashed again.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from components.errors import TransferFailed
from components.remote.job import WORKSPACE
from components.remote.manifest import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from components.remote.manifest import Manifest
    from components.remote.shell import Shell

_SECONDS: Final = 3600
"""Without a word from the machine: it hashes, or removes many files."""

_FIND: Final = r"-type f -printf '%s:%T@:%i %P\0'"


class Landing:
    """A folder on a machine, relative to the workspace, and the side folder that is to take its place."""

    def __init__(self, shell: Shell, folder: str) -> None:
        """Describe it; nothing happens yet."""
        self.folder, self.side = folder, f"{folder}.incoming"
        self._shell, self._receipt = shell, f".fragua/received/{folder.replace('/', '%')}"

    def look(self, manifest: Manifest) -> tuple[dict[str, Found], dict[str, Found]]:
        """Return the files of the folder and of the side folder, by path.

        A hash is there where the file's size does not already rule out that its content is the manifest's.
        """
        self._run(
            "looking for what was interrupted",
            f"[ -e {self._folder} ] || [ ! -e {self._old} ] || mv -T -- {self._old} {self._folder}",
        )
        sizes, wanted = (
            {file.size for file in manifest.files},
            {file.path: file.size for file in manifest.files},
        )
        return (
            self._found(self.folder, self._received(), lambda _, size: size in sizes),
            self._found(self.side, {}, lambda path, size: wanted.get(path) == size),
        )

    def prepare(self, stale: Iterable[str], needed: int) -> None:
        """Take the `stale` files out of the side folder, and see that `needed` bytes have room.

        Raises:
            TransferFailed: they have none.
        """
        words = self._run(
            "clearing the way",
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
                f"cd {shlex.quote(top)} 2>/dev/null || exit 0\nxargs -0 -r sha256sum -- || true",
                "\0".join(paths),
            )
        )

    def swap(self, manifest: Manifest) -> None:
        """Put the side folder, which now holds what the manifest says, in the folder's place."""
        sums = "".join(f"{file.sha256} {file.path}\0" for file in manifest.files)
        self._run(
            "putting the sent files in place",
            f"""set -e
rm -rf -- {self._old}
[ ! -e {self._folder} ] || mv -T -- {self._folder} {self._old}
mv -T -- {self._side} {self._folder}
rm -rf -- {self._old}
mkdir -p .fragua/received
{{ cat; find {self._folder} {_FIND}; }} > {shlex.quote(self._receipt)}""",
            f"{sums}\0",
        )

    @property
    def _folder(self) -> str:
        return shlex.quote(self.folder)

    @property
    def _side(self) -> str:
        return shlex.quote(self.side)

    @property
    def _old(self) -> str:
        return shlex.quote(f"{self.folder}.old")

    def _run(self, what: str, script: str, stdin: str = "") -> str:
        return self._shell.run(what, f'cd "{WORKSPACE}" || exit\n{script}', stdin, _SECONDS)

    def _listed(self, top: str) -> dict[str, str]:
        """Return the stamp of each file in `top`."""
        quoted = shlex.quote(top)
        listing = self._run("listing what is on the machine", f"[ ! -d {quoted} ] || find {quoted} {_FIND}")
        return _stamps(listing)

    def _received(self) -> dict[tuple[str, str], str]:
        """Return the hash of each path with the stamp that it had when it was verified."""
        receipt = self._run("reading the receipt", f"cat {shlex.quote(self._receipt)} 2>/dev/null || true")
        sums, _, listing = receipt.partition("\0\0")
        known = {path: digest for digest, _, path in (line.partition(" ") for line in sums.split("\0"))}
        return {(path, stamp): known.get(path, "") for path, stamp in _stamps(listing).items()}

    def _found(
        self, top: str, known: dict[tuple[str, str], str], likely: Callable[[str, int], bool]
    ) -> dict[str, Found]:
        there = {
            path: Found(int(stamp.partition(":")[0]), known.get((path, stamp), ""))
            for path, stamp in self._listed(top).items()
        }
        unknown = [path for path, each in there.items() if not each.sha256 and likely(path, each.size)]
        sums = self.hashes(top, unknown)
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
    """Return what `sha256sum` printed, by path."""
    return {path: digest for digest, _, path in (line.partition("  ") for line in output.split("\n"))}


def _stamps(listing: str) -> dict[str, str]:
    return {path: stamp for stamp, _, path in (entry.partition(" ") for entry in listing.split("\0")) if path}
