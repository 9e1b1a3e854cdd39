"""`wget`: downloads from the machine's internet, with the words and exit codes of the real one.

Without a terminal the real one draws a dot per kilobyte; here a line of dots stands for a longer piece.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from hardware import clock

from programs import local_http, web
from programs.console import fail, hand_over, real_program, say, warn
from programs.curl_options import Options as CurlOptions

_WITH_VALUE = {
    "-O": "output", "--output-document": "output", "-P": "folder", "--directory-prefix": "folder",
    "-t": "", "--tries": "", "--header": "", "-T": "", "--timeout": "", "-U": "", "--user-agent": "",
    "--waitretry": "", "-o": "", "-a": "", "--progress": "", "--retry-on-http-error": "",
    "--connect-timeout": "", "--read-timeout": "", "--limit-rate": "",
}  # fmt: skip
_FLAGS = {
    "-c": "continue", "--continue": "continue", "-q": "quiet", "--quiet": "quiet", "-nv": "brief",
    "--no-verbose": "brief", "-nc": "keep", "--no-clobber": "keep", "--show-progress": "",
    "--no-check-certificate": "", "-N": "", "--spider": "spider", "--content-disposition": "",
    "--retry-connrefused": "", "--no-cache": "", "-4": "", "--inet4-only": "",
}  # fmt: skip


class _Options:
    """The command line."""

    def __init__(self, arguments: list[str]) -> None:
        self.values: dict[str, str] = {}
        self.flags: set[str] = set()
        self.urls: list[str] = []
        items = iter(arguments)
        for item in items:
            key, equals, value = item.partition("=")
            if item in _FLAGS:
                self.flags.add(_FLAGS[item])
            elif key in _WITH_VALUE:
                self.values[_WITH_VALUE[key]] = value if equals else next(items, "")
            elif item[:2] in _WITH_VALUE and not item.startswith("--"):
                self.values[_WITH_VALUE[item[:2]]] = item[2:]
            elif item.startswith("-q") and item[2:3] == "O":
                self.flags.add("quiet")
                self.values["output"] = item[3:] or next(items, "")
            elif item.startswith("-"):
                fail(f"wget: unrecognized option '{item}'\nUsage: wget [OPTION]... [URL]...", 2)
            else:
                self.urls.append(item)

    def tell(self, text: str) -> None:
        """Say something that `-q` and `-nv` suppress."""
        if not {"quiet", "brief"} & self.flags:
            warn(text)


def main(arguments: list[str]) -> int:
    """Run wget."""
    options = _Options(arguments)
    if not options.urls:
        fail("wget: missing URL\nUsage: wget [OPTION]... [URL]...", 1)
    if any(web.is_local(url) for url in options.urls):
        if real_program("wget"):
            hand_over("wget", arguments)
        output = options.values.get("output", "-")
        code = local_http.curl(CurlOptions(["-sSf", "-o", output, options.urls[0]]))
        return {0: 0, 22: 8}.get(code, 4)
    return max(_get(options, url) for url in options.urls)


def _get(options: _Options, url: str) -> int:
    path = Path(
        options.values.get("output") or Path(options.values.get("folder", "")) / (_name(url) or "index.html")
    )
    if "keep" in options.flags and path.exists():
        options.tell(f"File {_quoted(path)} already there; not retrieving.\n")
        return 0
    try:
        response = _ask(options, url)
        while response.location:
            options.tell(f"Location: {response.location} [following]")
            response = _ask(options, response.location)
    except web.UnknownHost as error:
        if "quiet" not in options.flags:
            warn(f"wget: unable to resolve host address {_quoted(error)}")
        return 4
    if response.status >= 400:
        return _refused(options, response.status)
    if "spider" in options.flags:
        options.tell("Remote file exists.\n")
        return 0
    if str(path) == "-":
        say(web.content(response).decode(errors="replace"), end="")
        return 0
    return _save(options, response, path)


def _refused(options: _Options, status: int) -> int:
    if status == 401:
        options.tell("\nUsername/Password Authentication Failed.")
        return 6
    if "quiet" not in options.flags:
        words = _words(status).replace(" ", ": ", 1)
        warn(f"{time.strftime('%Y-%m-%d %H:%M:%S')} ERROR {words}.\n")
    return 8


def _ask(options: _Options, url: str) -> web.Response:
    host = urlsplit(url).hostname
    options.tell(f"--{time.strftime('%Y-%m-%d %H:%M:%S')}--  {url}")
    options.tell(f"Resolving {host} ({host})... ")
    response = web.request(url)
    options.tell(f"Connecting to {host} ({host})|3.165.190.26|:443... connected.")
    options.tell(f"HTTP request sent, awaiting response... {_words(response.status)}")
    return response


def _words(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def _save(options: _Options, response: web.Response, path: Path) -> int:
    offset = path.stat().st_size if "continue" in options.flags and path.exists() else 0
    if offset >= response.size > 0:
        options.tell("\n    The file is already fully retrieved; nothing to do.\n")
        return 0
    options.tell(
        f"Length: {response.size} ({_human(response.size)}) [{response.type}]\nSaving to: {_quoted(path)}\n"
    )
    started = clock.now()
    try:
        for size in web.receive(response, path, offset):
            rate = (size - offset) / max(clock.now() - started, 0.001)
            dots = " ".join(["." * 10] * 5)
            options.tell(f"{size // 1024:>6}K {dots} {size * 100 // response.size:>2}% {_human(rate)}")
    except OSError as error:
        if "quiet" not in options.flags:
            warn(f"{path}: {error.strerror}\n\nCannot write to {_quoted(path)} ({error.strerror}).")
        return 3
    rate = (response.size - offset) / max(clock.now() - started, 0.001)
    if "quiet" not in options.flags:
        moment = time.strftime("%Y-%m-%d %H:%M:%S")
        warn(
            f"\n{moment} ({rate / 1e6:.1f} MB/s) - {_quoted(path)} saved [{response.size}/{response.size}]\n"
        )
    return 0


def _quoted(what: object) -> str:
    return f"\u2018{what}\u2019"


def _name(url: str) -> str:
    return urlsplit(url).path.rsplit("/", 1)[-1]


def _human(size: float) -> str:
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f}{unit}" if not unit else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"
