"""Jobs that bring a dataset onto the node from elsewhere: an archive, a git repository, object storage. Pure.

Each fills a side folder and moves it into place once it is whole and holds images. A job that was broken off
goes on where it was. One whose script is a newer version's leaves a dataset of the same source alone, since a
training may read it, and keeps beside the images what it encodes of them.
"""

from __future__ import annotations

import shlex
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.dataset import extract
from components.remote.job import Job
from components.remote.package import needed
from components.remote.store import log_in
from components.remote.token import demanded, denied, header, token_for

if TYPE_CHECKING:
    from components.spec.source import Archive, Git, Rclone, Source

NAME: Final = "dataset"

_IMAGES: Final = (
    r"\( -iname '*.png' -o -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.webp' -o -iname '*.bmp' \)"
)

_ORIGIN: Final = ".origin"
"""A file in the dataset that tells where it was fetched from; what is uploaded in its place removes it."""


def fetch(source: Source, folder: str, *, token: bool = False) -> Job | None:
    """Return the job that makes `folder` (relative to the workspace) hold the dataset; None if it is here.

    The job's last line says how many images came; it fails where there are none.

    Args:
        source: where it comes from.
        folder: where it goes.
        token: whether there is a token for Hugging Face.
    """
    sent = ""
    if source.archive:
        side = shlex.quote(f"{folder}.archive")
        sent = token_for(source.archive.url, source.archive.token, hub=token)
        script = _archive(source.archive, side, sent)
    elif source.git:
        side = shlex.quote(f"{folder}.git")
        script = _git(source.git, side)
    elif source.rclone:
        side = shlex.quote(f"{folder}.rclone")
        script = _rclone(source.rclone, side)
    else:
        return None
    return Job(NAME, _wrapped(script, side, shlex.quote(folder), _origin(source)), sent)


def _archive(source: Archive, side: str, token: str) -> str:
    part = f".fragua/downloads/{sha256(source.url.encode()).hexdigest()[:16]}"
    program = Path(extract.__file__).read_text(encoding="utf-8")
    check = ""
    if source.sha256:
        check = f"""found=$(sha256sum < {part} | cut -d ' ' -f 1)
if [ $found != {source.sha256} ]; then
  rm {part}
  echo "the archive has sha256 $found, not {source.sha256}: correct dataset.archive.sha256 or the URL"
  exit 1
fi
"""
    return f"""mkdir -p .fragua/downloads
stop() {{
  echo "$1"
  exit 1
}}
{demanded(token)}
download() {{
  curl -fsSL {header(token)} --globoff --proto '=https' --retry 5 --retry-connrefused --connect-timeout 30 \\
    --speed-limit 1 --speed-time 60 --continue-at - -o {part} --write-out '%{{http_code}}' \\
    {shlex.quote(source.url)}
}}
for attempt in 1 2 3 4 5; do
  code=0
  status=$(download) || code=$?
  case $code/$status in
    0/*) break ;;
    22/401|22/403) stop {shlex.quote(denied(source.url, token))} ;;
    # nothing is left to fetch, or the server cannot go on in the middle
    22/*|33/*|36/*) [ -e {part} ] || exit $code; rm {part} ;;
    *) sleep $attempt ;;
  esac
done
[ $code = 0 ] || exit $code
{check}rm -rf {side}
python3 - {part} {side} <<'END' || {{ rm -f {part}; exit 1; }}
{program}END
rm {part}
"""


def _git(source: Git, side: str) -> str:
    return f"""export GIT_TERMINAL_PROMPT=0 GIT_LFS_SKIP_SMUDGE=1
(
git init -q {side}
cd {side}
git config core.symlinks false
git config remote.origin.url {shlex.quote(source.url)}
git fetch -q --depth 1 origin {source.commit} || git fetch -q origin '+refs/heads/*:refs/remotes/origin/*'
git checkout -q --force {source.commit}
git clean -fdxq
if grep -rqs filter=lfs --include=.gitattributes .; then
  {needed("command -v git-lfs", "git-lfs")}
  git lfs install --local --skip-repo > /dev/null
  git lfs pull
fi
left=$(find . -path ./.git -prune -o -type f -size -1024c \\
  -exec grep -l '^version https://git-lfs' {{}} + | head -n 3 || true)
if [ -n "$left" ]; then
  echo "Git LFS did not bring the content of" $left
  exit 1
fi
rm -rf .git
)
"""


def _rclone(source: Rclone, side: str) -> str:
    target = shlex.quote(f"{source.remote}:{source.path}")
    return f"""{needed("command -v rclone", "rclone")}
{log_in(NAME)}rclone sync {target} {side} --config '' --exclude '.*' --exclude '.*/**' \\
  --transfers 16 --checkers 16 --stats 5s --stats-one-line --stats-log-level NOTICE
"""


def _origin(source: Source) -> str:
    """Identify where a dataset comes from; who may fetch it makes no other of it."""
    place = source.archive or source.git or source.rclone
    content = place.model_dump_json(exclude={"token"}, exclude_defaults=True) if place else ""
    return sha256(content.encode()).hexdigest()[:16]


def _wrapped(script: str, side: str, folder: str, origin: str) -> str:
    return f"""count() {{ find "$1" -type f {_IMAGES} | wc -l; }}
if [ "$(cat {folder}/{_ORIGIN} 2> /dev/null)" = {origin} ]; then
  echo "there already; images: $(count {folder})"
  exit 0
fi
{script}if [ "$(count {side})" = 0 ]; then
  echo "what was fetched holds no images (png, jpg, jpeg, webp, bmp); there is:" $(ls {side} | head -n 10)
  exit 1
fi
echo {origin} > {side}/{_ORIGIN}
rm -rf {folder}
mv {side} {folder}
echo "images: $(count {folder})"
"""
