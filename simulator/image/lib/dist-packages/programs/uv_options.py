"""uv's command line, sorted: which options take a value, which are flags."""

from __future__ import annotations

from typing import NamedTuple

from programs.console import warn

_WITH_VALUE = {
    "-p": "python", "--python": "python", "-r": "requirement", "--requirement": "requirement",
    "-e": "editable", "--editable": "editable", "-i": "index", "--index-url": "index",
    "--default-index": "index", "--extra-index-url": "extra", "--index": "extra",
    "--torch-backend": "backend", "-c": "constraint", "--constraint": "constraint", "--format": "format",
    "--index-strategy": "", "--prerelease": "", "--link-mode": "", "--cache-dir": "", "-f": "",
    "--find-links": "", "--prompt": "", "--directory": "", "--resolution": "", "--target": "",
    "--prefix": "", "--exclude-newer": "until", "--no-build-isolation-package": "", "--no-binary": "",
    "--only-binary": "",
}  # fmt: skip


class Options(NamedTuple):
    """The command line: values by name, flags, and what is left."""

    values: dict[str, list[str]]
    flags: set[str]
    rest: list[str]

    @classmethod
    def parse(cls, arguments: list[str]) -> Options:
        """Sort a command line."""
        options = cls({}, set(), [])
        items = iter(arguments)
        for item in items:
            key, equals, value = item.partition("=")
            if key in _WITH_VALUE and (item.startswith("--") or not equals):
                options.values.setdefault(_WITH_VALUE[key], []).append(value if equals else next(items, ""))
            elif item.startswith("-") and len(item) > 1:
                options.flags.add(item)
            else:
                options.rest.append(item)
        return options

    def last(self, name: str) -> str | None:
        """Return the last value of an option."""
        return self.values[name][-1] if self.values.get(name) else None

    def tell(self, text: str) -> None:
        """Say something that `-q` suppresses."""
        if not {"-q", "--quiet"} & self.flags:
            warn(text)
