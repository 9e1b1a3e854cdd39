"""Where a model lies on a machine, and the job that brings or checks it there. Pure.

A download goes on where it broke off. It only gets its name once it is whole: a safetensors file whose header
tells of as many bytes as there are, with the demanded SHA-256.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from hashlib import sha256 as sha256_of
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from components.remote.job import Job
from components.remote.package import needed
from components.remote.token import HUB, demanded, denied, header, token_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.spec.model import ModelSource


@dataclass(frozen=True)
class Model:
    """A model on a machine.

    Attributes:
        path: relative to the workspace, or absolute.
        job: what brings it there or checks it; None where it is uploaded.
    """

    path: str
    job: Job | None


def model(source: ModelSource, name: str, field: str, *, token: bool = False) -> Model:
    """Return the model that a machine downloads or has.

    The file's name tells its source, so that another model of the same name is never taken for it, and keeps
    its ending, without which sd-scripts reads it as a pickle.

    Args:
        source: where it comes from.
        name: of the job.
        field: of the job file, for messages.
        token: whether there is a token for Hugging Face.
    """
    if source.path:
        return Model(source.path, Job(name, _present(source.path, source.sha256, field)))
    hub = f"https://{HUB}/{source.huggingface}/resolve/main/{quote(source.file or '')}"
    url = source.url or hub
    path = _path(unquote(urlsplit(url).path), source.ENDINGS, f"{url} {source.sha256}")
    sent = token_for(url, source.token, hub=token)
    script = _download(url, path, source.sha256, name.replace("-", " "), field, sent)
    return Model(path, Job(name, script, sent))


def uploaded(file: str, sha256: str) -> Model:
    """Return the model that is uploaded from the path `file`, of that SHA-256."""
    return Model(_path(file, (PurePosixPath(file).suffix,), sha256), None)


def plain_name(file: str, endings: Sequence[str]) -> tuple[str, str]:
    """Return a file's name with nothing odd in it, and its ending: the first one where it has none."""
    name = PurePosixPath(file).name
    ending = next((each for each in endings if name.endswith(each)), endings[0])
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.removesuffix(ending))[:100], ending


def _path(file: str, endings: Sequence[str], identity: str) -> str:
    name, ending = plain_name(file, endings)
    return f"models/{name}-{sha256_of(identity.encode()).hexdigest()[:8]}{ending}"


def _present(path: str, sha256: str | None, field: str) -> str:
    return f"""file={shlex.quote(path)}
{check(path, sha256, field)}
if [ ! -f "$file" ]; then
  echo "{field}.path: there is no $file on the machine"
  exit 1
fi
if ! reason=$(check "$file" 2>&1); then
  echo "{field}.path: $file is no model: $reason"
  exit 1
fi
echo "{field.replace("_", " ")}: $file"
"""


def _download(url: str, path: str, sha256: str | None, label: str, field: str, token: str) -> str:
    host = urlsplit(url).hostname or ""
    return f"""url={shlex.quote(url)} file={path} part={path}.part
if [ -e $file ]; then
  echo "there already: $file"
  exit 0
fi
mkdir -p models
{needed("command -v curl", "curl", "ca-certificates")}
stop() {{
  echo "{label}: $1"
  exit 1
}}
{demanded(token)}
get() {{
  curl -sSL {header(token)} --globoff --proto '=https' --retry 5 --retry-connrefused --connect-timeout 30 \\
    --write-out '%{{http_code}}' "$@" "$url"
}}
denied() {{ stop {shlex.quote(denied(url, token))}; }}
{check(path, sha256, field)}
{_DOWNLOAD.replace("HOST", host).replace("LABEL", label)}"""


def check(path: str, sha256: str | None = None, field: str = "") -> str:
    """Return bash's function `check FILE`, which fails with a reason where FILE is not the whole model.

    Args:
        path: of the model; a .pth file tells less of itself than a .safetensors file.
        sha256: demanded, where one is.
        field: of the job file, for messages.
    """
    demanded = f"""  local found
  found=$(sha256sum "$1" | cut -d ' ' -f 1)
  if [ $found != {sha256} ]; then
    echo "its sha256 is $found, not {sha256}: correct {field}.sha256 or the source"
    return 1
  fi
"""
    whole = _PICKLE_CHECK if path.endswith(".pth") else _HEADER_CHECK
    return f"check() {{\n{whole}{demanded if sha256 else ''}}}"


_HEADER_CHECK: Final = r"""  python3 - "$1" <<'END' || return 1
import json, os, sys
size = os.path.getsize(sys.argv[1])
with open(sys.argv[1], "rb") as file:
    start = file.read(1024)
    length = int.from_bytes(start[:8], "little")
    if length > size - 8 or start[8:9] != b"{":
        if start.startswith(b"version https://git-lfs"):
            sys.exit("it is a Git LFS pointer, not the model: take the address that downloads the file")
        if start.lstrip()[:1] == b"<":
            sys.exit("it is a web page, not a model: take the file's own address, with its token")
        if start[8:9] == b"{":
            sys.exit(f"it is cut off within its header, after {size} bytes")
        sys.exit("it is no safetensors file")
    file.seek(8)
    try:
        table = json.loads(file.read(length))
        end = 8 + length + max(table[name]["data_offsets"][1] for name in table if name != "__metadata__")
    except (ValueError, KeyError, TypeError):
        sys.exit("its header is none of a safetensors file")
if end != size:
    sys.exit(f"it has {size} bytes where its header tells of {end}: it is cut off or damaged")
END
"""

_PICKLE_CHECK: Final = r"""  case $(head -c 40 "$1" | tr -d '\0[:space:]') in
    versionhttps://git-lfs*)
      echo "it is a Git LFS pointer, not the model: take the address that downloads the file"
      return 1 ;;
    "<"*)
      echo "it is a web page, not a model: take the file's own address, with its token"
      return 1 ;;
    "")
      echo "it is empty"
      return 1 ;;
  esac
"""

_DOWNLOAD: Final = """trap 'rm -f $part.head' EXIT
code=0
# one byte tells how many there are, and whether we may have them; 63: the server would give all instead,
# which is told from the pages that come with redirects by its size
status=$(get --range 0-0 --max-filesize 100000 --max-time 60 --retry-max-time 60 --dump-header $part.head \\
  -o /dev/null) || code=$?
case $code/$status in
  1/*) stop "the address leads away from https" ;;
  */401|*/403) denied ;;
  */404|*/410) stop "HOST has no such file (it answers $status)" ;;
  */416) stop "HOST has only an empty file there" ;;
  0/20?|63/20?|28/20?) ;;
  */000) stop "HOST cannot be reached (curl ends with $code)" ;;
  *) stop "HOST answers $status (curl ends with $code)" ;;
esac
size=$(tr -d '\\r' < $part.head | awk '
  /^HTTP/ { size = range = "" }
  tolower($1) == "content-length:" && !range { size = $2 }
  tolower($1) == "content-range:" { range = $0; sub(/.*\\//, "", range); size = range }
  END { if (size ~ /^[0-9]+$/) print size }')
there() { stat -c %s $part 2> /dev/null || echo 0; }
whole() { [ "$size" ] && [ "$(there)" = $size ]; }
if [ "$size" ]; then
  [ "$(there)" -le $size ] || rm $part
  need=$((size - $(there))) free=$(df --output=avail -B1 models | tail -n 1)
  missing=$(numfmt --to=si $need)B
  if [ $need -gt $free ]; then
    stop "$missing are to come, and the disk has $(numfmt --to=si $free)B free: raise node.disk"
  fi
  echo "$missing to come from HOST"
fi
download() {
  local pause code
  for pause in 1 5 20 60 -; do
    if whole; then return; fi
    code=0
    status=$(get -f --speed-limit 1 --speed-time 60 --continue-at - -o $part) || code=$?
    case $code/$status in
      0/*) return ;;
      */401|*/403) denied ;;
      23/*) stop "it cannot be written: $(df --output=avail -h models | tail -n 1) are free on the disk" ;;
      # nothing is left to fetch, or the server cannot go on in the middle
      22/416|33/*|36/*) rm -f $part ;;
      *) [ $pause = - ] || sleep $pause ;;
    esac
  done
  stop "HOST does not give it (curl ends with $code, HTTP status $status)"
}
for attempt in first second; do
  download
  if reason=$(check $part 2>&1); then
    mv $part $file
    echo "LABEL: $file"
    exit 0
  fi
  rm -f $part
  [ $attempt = second ] || echo "$reason; downloading it once more"
done
stop "$reason"
"""
