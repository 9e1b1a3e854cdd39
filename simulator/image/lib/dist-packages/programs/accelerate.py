"""`accelerate`: `launch`, `env`, `config default`. It starts the script with the environment's own Python.

Several processes are one here: the script is told how many it stands for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hardware import clock
from hardware.facts import machine

from programs.accelerate_failures import crash, elastic_log, elastic_report, interrupted
from programs.accelerate_options import add_launch_options
from programs.console import fail, say
from programs.environment import Environment
from programs.rich_log import RichLog

_IMPORT_SECONDS = 4.0
"""Importing torch and accelerate, which the launcher does before anything else."""

_ONLY_ONE = ("cpu", "multi_gpu", "tpu", "use_deepspeed", "use_fsdp", "use_tp")


def main(arguments: list[str]) -> int:
    """Run accelerate."""
    parser = argparse.ArgumentParser(
        "Accelerate CLI tool", usage="accelerate <command> [<args>]", allow_abbrev=False
    )
    commands = parser.add_subparsers(help="accelerate command helpers", dest="command")
    add_launch_options(commands.add_parser("launch", add_help=False, allow_abbrev=False))
    commands.add_parser("env").add_argument("--config_file")
    config = commands.add_parser("config").add_subparsers(dest="action")
    default = config.add_parser("default")
    default.add_argument("--config_file", default=str(_config_file()))
    default.add_argument("--mixed_precision", choices=["no", "fp16", "bf16"], default="no")
    args = parser.parse_args(arguments)
    clock.sleep(_IMPORT_SECONDS)
    match args.command:
        case "launch":
            return _launch(args)
        case "env":
            return _env(args)
        case "config":
            return _configure(args)
    parser.print_help()
    return 1


def _launch(args: argparse.Namespace) -> int:
    if sum(bool(getattr(args, name)) for name in _ONLY_ONE) > 1:
        crash(
            "only_one",
            "ValueError: You can only use one of "
            + ", ".join(f"`--{name}`" for name in _ONLY_ONE)
            + " at a time.",
        )
    if args.multi_gpu and args.num_processes is not None and args.num_processes < 2:
        crash("few_processes", "ValueError: You need to use at least 2 processes to use `--multi_gpu`.")
    _fill_in(args)
    environment = os.environ | {
        "ACCELERATE_MIXED_PRECISION": args.mixed_precision,
        "OMP_NUM_THREADS": str(args.num_cpu_threads_per_process or os.environ.get("OMP_NUM_THREADS", "1")),
    }
    if args.gpu_ids and args.gpu_ids != "all":
        environment["CUDA_VISIBLE_DEVICES"] = args.gpu_ids
    if args.multi_gpu:
        environment |= {"WORLD_SIZE": str(args.num_processes), "RANK": "0", "LOCAL_RANK": "0"}
    python = [] if args.no_python else [sys.executable, *(["-m"] if args.module else [])]
    command = [*python, args.training_script, *args.training_script_args]
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        interrupted()
    if code == 0:
        return 0
    if args.multi_gpu:
        sys.stderr.write(elastic_log(process.pid, code, command[0]) + "\n")
        crash("processes", elastic_report(args.training_script, process.pid, code))
    if not args.quiet:
        crash("one_process", f"subprocess.CalledProcessError: {subprocess.CalledProcessError(code, command)}")
    return 1


def _fill_in(args: argparse.Namespace) -> None:
    """Take what was not said from the configuration file, or from the hardware with a warning."""
    file = Path(args.config_file) if args.config_file else _config_file()
    if args.config_file and not file.is_file():
        crash(
            "no_config",
            f"FileNotFoundError: The passed configuration file `{file}` does not exist. Please "
            "pass an existing file to "
            "`accelerate launch`, or use the default one created through `accelerate config` "
            "and run `accelerate launch` "
            "without the `--config_file` argument.",
        )
    if file.is_file() and not args.cpu:
        config = _read_config(file)
        args.multi_gpu = args.multi_gpu or config.get("distributed_type") == "MULTI_GPU"
        args.num_processes = args.num_processes or int(config.get("num_processes", 1))
        args.mixed_precision = args.mixed_precision or config.get("mixed_precision", "no")
        args.gpu_ids = args.gpu_ids or config.get("gpu_ids", "all")
        return
    warned = []
    if args.num_processes is None:
        args.num_processes = len(machine().gpus)
        warned.append(f"\t`--num_processes` was set to a value of `{args.num_processes}`")
    if not args.multi_gpu and args.num_processes > 1 and len(machine().gpus) > 1:
        warned.append(
            "\t\tMore than one GPU was found, enabling multi-GPU training.\n"
            "\t\tIf this was unintended please pass in `--num_processes=1`."
        )
        args.multi_gpu = True
    for name, value in (("num_machines", 1), ("mixed_precision", "no"), ("dynamo_backend", "no")):
        if getattr(args, name) is None:
            setattr(args, name, value)
            warned.append(f"\t`--{name}` was set to a value of `{value!r}`")
    if warned:
        message = (
            "The following values were not passed to `accelerate launch` and had defaults used instead:\n"
            + "\n".join(warned).expandtabs()
            + "\nTo avoid this warning pass in values for each of the problematic parameters "
            "or run `accelerate config`."
        )
        say(RichLog(1).render("WARNING", message, "launch.py:1185", "[%X]"))


def _env(args: argparse.Namespace) -> int:
    installed = Environment(Path(sys.prefix)).installed()
    file = Path(args.config_file) if args.config_file else _config_file()
    say("\nCopy-and-paste the text below in your GitHub issue\n")
    say(f"- `Accelerate` version: {installed.get('accelerate', '')}")
    say(f"- Platform: Linux-{os.uname().release}-x86_64-with-glibc2.35")
    say(f"- `accelerate` bash location: {sys.prefix}/bin/accelerate")
    say(f"- Python version: {sys.version.split()[0]}")
    say(f"- Numpy version: {installed.get('numpy', '')}")
    say(f"- PyTorch version (GPU?): {installed.get('torch', '')} ({bool(machine().gpus)})")
    say(f"- System RAM: {machine().ram_mib / 1024:.2f} GB")
    if machine().gpus:
        say(f"- GPU type: {machine().gpus[0].name}")
    say("- `Accelerate` default config:")
    lines = (
        [f"\t- {key}: {value}" for key, value in _read_config(file).items()]
        if file.is_file()
        else ["\tNot found"]
    )
    say("\n".join(lines))
    return 0


def _configure(args: argparse.Namespace) -> int:
    if args.action != "default":
        fail("EOFError: EOF when reading a line", 1)  # the questions need a terminal
    file = Path(args.config_file)
    if file.exists():
        say(
            f"Configuration already exists at {file}, will not override. Run `accelerate "
            "config` manually or pass a "
            "different `save_location`."
        )
        return 0
    gpus = len(machine().gpus)
    config = {
        "compute_environment": "LOCAL_MACHINE",
        "debug": False,
        "distributed_type": "MULTI_GPU" if gpus > 1 else "NO",
        "downcast_bf16": False,
        "enable_cpu_affinity": False,
        "machine_rank": 0,
        "main_training_function": "main",
        "mixed_precision": args.mixed_precision,
        "num_machines": 1,
        "num_processes": gpus,
        "rdzv_backend": "static",
        "same_network": False,
        "use_cpu": False,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    say(f"accelerate configuration saved at {file}")
    return 0


def _config_file() -> Path:
    home = (
        os.environ.get("HF_HOME")
        or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "huggingface"
    )
    return Path(home) / "accelerate/default_config.yaml"


def _read_config(file: Path) -> dict[str, Any]:
    """Read a configuration: JSON as `config default` writes it, or one `key: value` a line."""
    text = file.read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        config: dict[str, Any] = json.loads(text)
        return config
    pairs = (
        line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith((" ", "#"))
    )
    return {key.strip(): value.strip().strip("'\"") for key, value in pairs}
