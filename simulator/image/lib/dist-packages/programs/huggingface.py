"""`hf` and `huggingface-cli`: `download` of the known files, and `version`."""

from __future__ import annotations

import argparse
import fnmatch
import os
from pathlib import Path

from models import catalog

from programs import web
from programs.console import fail, say, warn

_REVISION = "462165984030d82259a11f4367a4eed129e94a7b"


def main(arguments: list[str]) -> int:
    """Run hf."""
    parser = argparse.ArgumentParser("hf")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version")
    download = commands.add_parser("download")
    download.add_argument("repo_id")
    download.add_argument("filenames", nargs="*")
    download.add_argument("--local-dir", type=Path)
    download.add_argument("--cache-dir", type=Path)
    download.add_argument("--revision", default="main")
    download.add_argument("--repo-type", default="model")
    download.add_argument("--token")
    download.add_argument("--include", nargs="*", default=[])
    download.add_argument("--exclude", nargs="*", default=[])
    download.add_argument("--quiet", action="store_true")
    download.add_argument("--force-download", action="store_true")
    args = parser.parse_args(arguments)
    if args.command == "version":
        say("huggingface_hub version: 0.34.3")
        return 0
    return _download(args)


def _download(args: argparse.Namespace) -> int:
    known = [one for one in catalog.files() if one.repo == args.repo_id]
    if not known:
        fail(
            "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.\n\n"
            f"Repository Not Found for url: https://huggingface.co/api/models/{args.repo_id}/revision/main.\n"
            "Please make sure you specified the correct `repo_id` and `repo_type`.",
            1,
        )
    wanted = [one for one in known if _matches(one.name, args)]
    for name in set(args.filenames) - {one.name for one in wanted}:
        fail(
            "huggingface_hub.errors.EntryNotFoundError: 404 Client Error.\n\nEntry Not Found for url: "
            f"https://huggingface.co/{args.repo_id}/resolve/{args.revision}/{name}.",
            1,
        )
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache/huggingface"))
    cache = args.cache_dir or home / "hub"
    folder = args.local_dir or cache / f"models--{args.repo_id.replace('/', '--')}" / "snapshots" / _REVISION
    folder.mkdir(parents=True, exist_ok=True)
    for one in wanted:
        path = folder / one.name
        if path.exists() and path.stat().st_size == one.size and not args.force_download:
            continue
        response = web.Response(200, one.size, one)
        partial = path.with_suffix(path.suffix + ".incomplete")
        for size in web.receive(response, partial, 0):
            if not args.quiet:
                warn(
                    f"\r{one.name}: {size * 100 // one.size:>3}%| {size / 1e9:.2f}G/{one.size / 1e9:.2f}G",
                    end="",
                )
        if not args.quiet:
            warn("")
        partial.replace(path)
    say(str(folder.resolve() / wanted[0].name if len(args.filenames) == 1 else folder.resolve()))
    return 0


def _matches(name: str, args: argparse.Namespace) -> bool:
    if args.filenames:
        return name in args.filenames
    if args.include and not any(fnmatch.fnmatch(name, pattern) for pattern in args.include):
        return False
    return not any(fnmatch.fnmatch(name, pattern) for pattern in args.exclude)
