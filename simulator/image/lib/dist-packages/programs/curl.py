"""`curl`: downloads from the machine's internet, with the exit codes, messages and meter of the real one.

Requests to the machine itself are made for real.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from hardware import clock

from programs import local_http, web
from programs.console import fail, hand_over, real_program, say, warn
from programs.curl_options import Options

_TRANSIENT = {408, 429, 500, 502, 503, 504}
_METER_HEAD = (
    "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    "                                 Dload  Upload   Total   Spent    Left  Speed"
)


class _Failure(Exception):
    """What a transfer ends with: curl's exit code, and the reason it gives."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Transfer:
    """One URL on its way; its fields are what `--write-out` can tell."""

    def __init__(self, options: Options, url: str) -> None:
        self.options, self.url = options, url
        self.status = self.received = self.redirects = 0
        self.started = clock.now()

    def run(self) -> None:
        """Transfer the URL.

        Raises:
            _Failure: as curl fails.
        """
        try:
            response = self._request()
            while response.location and "location" in self.options.flags:
                self.url, self.redirects = response.location, self.redirects + 1
                response = self._request()
        except web.UnknownHost as error:
            raise _Failure(6, f"Could not resolve host: {error}") from None
        if "head" in self.options.flags:
            return
        if response.status >= 400 and "fail" in self.options.flags:
            raise _Failure(22, f"The requested URL returned error: {response.status}")
        path = self._target()
        if path is None:
            sys.stdout.buffer.write(web.content(response))
            sys.stdout.flush()
            self.received = response.size
            return
        self._save(response, path)

    def _request(self) -> web.Response:
        scheme = urlsplit(self.url).scheme or "http"
        allowed = self.options.values.get("proto", "")
        if allowed.startswith("=") and scheme not in allowed[1:].split(","):
            raise _Failure(1, f'Protocol "{scheme}" not supported or disabled in libcurl')
        response = web.request(self.url, self._authorization())
        if response.status == 200 and "head" not in self.options.flags:
            response = response.part(self.options.values.get("range", ""))
        self.status = response.status
        text = self._headers(response)
        if "head" in self.options.flags:
            say(text, end="")
        if name := self.options.values.get("dump-header"):
            with Path(name).open("a" if self.redirects else "w", encoding="utf-8") as file:
                file.write(text)
        # the real one looks at the page of a redirect too
        if response.size > float(self.options.values.get("max-filesize", "inf")):
            raise _Failure(63, "Maximum file size exceeded")
        return response

    def _authorization(self) -> str:
        """Return what the header says, which no host gets but the one that was asked first."""
        asked, now = urlsplit(self.options.urls[0]), urlsplit(self.url)
        if (asked.scheme, asked.netloc) != (now.scheme, now.netloc):
            return ""
        pairs = (header.partition(":") for header in self.options.headers)
        return next((value.strip() for name, _, value in pairs if name.lower() == "authorization"), "")

    def _target(self) -> Path | None:
        values = self.options.values
        name = values.get("output")
        if "remote-name" in self.options.flags and name is None:
            name = urlsplit(self.options.urls[0]).path.rsplit("/", 1)[-1]
            if not name:
                raise _Failure(23, "Failed to extract a filename to use for storage")
        if name in {None, "-"}:
            return None
        return Path(values.get("output-dir", "")) / str(name)

    def _save(self, response: web.Response, path: Path) -> None:
        if "create-dirs" in self.options.flags:
            path.parent.mkdir(parents=True, exist_ok=True)
        offset = 0
        if self.options.values.get("continue-at") == "-" and path.is_file():
            offset = path.stat().st_size
            if offset >= response.size:
                self.status = 416
                if "fail" in self.options.flags:
                    raise _Failure(22, "The requested URL returned error: 416")
                return
        meter = _Meter(response.size - offset, silent=self.options.silent)
        limit = float(self.options.values.get("max-time", "inf"))
        try:
            for size in web.receive(response, path, offset):
                self.received = size - offset
                meter.show(self.received)
                if clock.now() - self.started > limit and size < response.size:
                    reason = f"with {self.received} out of {response.size - offset} bytes received"
                    raise _Failure(28, f"Operation timed out after {int(limit * 1000)} milliseconds {reason}")
        except FileNotFoundError:
            warn(f"Warning: Failed to open the file {path}: No such file or directory")
            raise _Failure(23, "Failure writing output to destination") from None
        except OSError:
            raise _Failure(23, "Failure writing output to destination") from None
        finally:
            meter.end()

    def _headers(self, response: web.Response) -> str:
        lines = [
            f"HTTP/2 {response.status} ",
            f"content-type: {response.type}",
            f"content-length: {response.size}",
        ]
        if response.location:
            lines.append(f"location: {response.location}")
        else:
            lines.append("accept-ranges: bytes")
        if response.status == 206:
            lines.append(f"content-range: bytes {response.range}")
        return "\r\n".join([*lines, "", ""])

    def write_out(self, code: int) -> str:
        """Return the text of `--write-out`."""
        seconds = max(clock.now() - self.started, 0.001)
        values = {
            "http_code": f"{self.status:03d}",
            "response_code": f"{self.status:03d}",
            "size_download": str(self.received),
            "speed_download": f"{self.received / seconds:.0f}",
            "time_total": f"{seconds:.6f}",
            "url_effective": self.url,
            "num_redirects": str(self.redirects),
            "exitcode": str(code),
        }
        text = self.options.values.get("write-out", "")
        for name, value in values.items():
            text = text.replace(f"%{{{name}}}", value)
        return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")


class _Meter:
    """curl's progress table on stderr."""

    def __init__(self, total: int, *, silent: bool) -> None:
        self._total, self._silent, self._started = total, silent, clock.now()
        if not silent:
            warn(_METER_HEAD)
            self.show(0)

    def show(self, received: int) -> None:
        """Draw the line anew."""
        if self._silent:
            return
        spent = clock.now() - self._started
        rate = received / spent if spent else 0.0
        left = (self._total - received) / rate if rate else 0.0
        percent = received * 100 // self._total if self._total else 100
        times = (
            _clock(self._total / rate) if rate else "--:--:--",
            _clock(spent),
            _clock(left) if left else "--:--:--",
        )
        speed, total, got = _amount(rate), _amount(self._total), _amount(received)
        row = f"{percent:>3} {total}  {percent:>3} {got}    0     0  {speed}      0 {' '.join(times)} {speed}"
        warn(f"\r{row}", end="")

    def end(self) -> None:
        """Leave the line."""
        if not self._silent:
            warn("")


def main(arguments: list[str]) -> int:
    """Run curl."""
    options = Options(arguments)
    if "version" in options.flags:
        say("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.17")
        return 0
    if not options.urls:
        fail("curl: (2) no URL specified\ncurl: try 'curl --help' or 'curl --manual' for more information", 2)
    if any(web.is_local(url) for url in options.urls):
        if real_program("curl"):
            hand_over("curl", arguments)
        return local_http.curl(options)
    code = 0
    for url in options.urls:
        code = _with_retries(options, url)
    return code


def _with_retries(options: Options, url: str) -> int:
    retries = int(options.values.get("retry", "0"))
    attempt = 0
    while True:
        transfer = _Transfer(options, url)
        try:
            transfer.run()
        except _Failure as failure:
            if attempt < retries and (transfer.status in _TRANSIENT or "retry-all-errors" in options.flags):
                attempt += 1
                delay = float(options.values.get("retry-delay", 2 ** (attempt - 1)))
                warn(
                    f"Warning: Problem: {failure}. Will retry in {delay:g} seconds. "
                    f"{retries - attempt} retries left."
                )
                clock.sleep(delay)
                continue
            say(transfer.write_out(failure.code), end="")
            if options.tells_errors:
                warn(f"curl: ({failure.code}) {failure}")
            return failure.code
        say(transfer.write_out(0), end="")
        return 0


def _amount(value: float) -> str:
    """Write a number of bytes in five columns, as curl does."""
    size = int(value)
    if size < 100_000:
        return f"{size:5d}"
    for unit in "kMGT":
        if size < 100 * 1024 and unit != "k":
            return f"{size / 1024:4.1f}{unit}"
        size //= 1024
        if size < 10_000:
            return f"{size:4d}{unit}"
    return f"{size:4d}P"


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:2d}:{minute:02d}:{second:02d}"
