"""The command line and `--config_file`: argparse, built from the options that the real parsers have."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from library.console import log

if TYPE_CHECKING:
    from collections.abc import Callable


def int_or_float(text: str) -> int | float:
    """Read a number of steps, or below 1 a share of all steps."""
    if text.endswith("%"):
        return float(text[:-1]) / 100.0
    try:
        return int(text) if float(text) >= 1 else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not an int or float") from None


_TYPES: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "Path": Path,
    "int_or_float": int_or_float,
}


def build(script: str) -> argparse.ArgumentParser:
    """Build the parser of a script, named without `.py`."""
    data = json.loads((Path(__file__).parent / "options.json").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser()
    for key in data["scripts"][script].split():
        option: dict[str, Any] = data["options"][key]
        name = f"--{key.split('#')[0]}"
        if option.get("flag"):
            parser.add_argument(name, action="store_true")
            continue
        settings = {
            part: option[part] for part in ("nargs", "default", "choices", "required") if part in option
        }
        parser.add_argument(name, type=_TYPES.get(option.get("type", "str"), str), **settings)
    return parser


def parse(script: str) -> argparse.Namespace:
    """Read the command line, and the configuration file that it names.

    The file's values become the namespace that the command line is then read into: so the command line wins,
    unknown keys stay unseen, and choices are not enforced for what the file says.
    """
    parser = build(script)
    args = parser.parse_args()
    _warn_of_secrets(args)
    if not args.config_file:
        return args
    path = Path(args.config_file if args.config_file.endswith(".toml") else args.config_file + ".toml")
    if args.output_config:
        _write(parser, args, path)
    if not path.exists():
        log("settings_not_found", path=path)
        sys.exit(1)
    log("loading_settings", path=path)
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        flat |= value if isinstance(value, dict) else {key: value}
    args = parser.parse_args(namespace=argparse.Namespace(**flat))
    args.config_file = args.config_file.removesuffix(".toml")
    return args


def _warn_of_secrets(args: argparse.Namespace) -> None:
    if args.log_with in {None, "tensorboard"}:
        return
    for name in ("wandb_api_key", "huggingface_token"):
        if getattr(args, name, None) is not None:
            log("wandb_secret", name=name)


def _write(parser: argparse.ArgumentParser, args: argparse.Namespace, path: Path) -> None:
    if path.exists():
        log("settings_exist", path=path)
        sys.exit(1)
    skipped = {"config_file", "output_config", "wandb_api_key"}
    defaults = vars(parser.parse_args([]))
    chosen = {
        name: value for name, value in vars(args).items() if name not in skipped and value != defaults[name]
    }
    path.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in chosen.items()), encoding="utf-8")
    log("settings_saved", path=path)
    sys.exit(0)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[ {', '.join(map(_toml, value))},]"
    return repr(value) if isinstance(value, (int, float)) else json.dumps(str(value), ensure_ascii=False)
