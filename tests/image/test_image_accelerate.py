"""`accelerate`: its parser, its defaults, and how the script's end becomes its own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from image_machine import Trainer

QUIET = ("--num_processes", "1", "--num_machines", "1", "--mixed_precision", "bf16", "--dynamo_backend", "no")


def test_a_script_runs_with_the_environments_python(trainer: Trainer) -> None:
    script = trainer.machine.write(
        "show.py", "import os, sys; print(sys.prefix, sys.argv[1:], os.environ['OMP_NUM_THREADS'])"
    )
    done = trainer.launch(*QUIET, "--num_cpu_threads_per_process", "4", script, "--x", "1")

    assert done.returncode == 0
    assert done.stdout == f"{trainer.installed}/venv ['--x', '1'] 4\n"
    assert done.stderr == ""


def test_a_failure_is_told_as_called_process_error(trainer: Trainer) -> None:
    script = trainer.machine.write("fail.py", "raise SystemExit(3)")
    done = trainer.launch(*QUIET, script, "--x")

    assert done.returncode == 1
    venv = trainer.installed / "venv"
    commands = next(venv.glob("lib/python3.*/site-packages")) / "accelerate/commands"
    assert done.stderr.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{venv}/bin/accelerate", line 10, in <module>',
        "    sys.exit(main())",
        "             ^^^^^^",
        f'  File "{commands}/accelerate_cli.py", line 50, in main',
        "    args.func(args)",
        f'  File "{commands}/launch.py", line 1213, in launch_command',
        "    simple_launcher(args)",
        f'  File "{commands}/launch.py", line 795, in simple_launcher',
        "    raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)",
        (
            f"subprocess.CalledProcessError: Command '['{venv}/bin/python', '{script}', '--x']' "
            "returned non-zero exit status 3."
        ),
    ]


def test_a_process_that_is_killed_is_told_with_its_signal(trainer: Trainer) -> None:
    script = trainer.machine.write("die.py", "import os; os.kill(os.getpid(), 9)")
    done = trainer.launch(*QUIET, script)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("']' died with <Signals.SIGKILL: 9>.")

    trainer.machine.with_gpus(*[("NVIDIA A100-SXM4-80GB", 81920)] * 2)
    done = trainer.launch("--multi_gpu", "--num_processes", "2", script)
    assert re.match(r"E\d{4} .*failed \(exitcode: -9\) local_rank: 0", done.stderr)
    assert re.search(r"traceback : Signal 9 \(SIGKILL\) received by PID \d+\n", done.stderr)


def test_a_script_that_is_not_there_is_pythons_error(trainer: Trainer) -> None:
    done = trainer.launch(*QUIET, "nothing.py")

    assert done.returncode == 1
    assert "can't open file" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("returned non-zero exit status 2.")


def test_a_training_that_fails_fails_the_launcher(trainer: Trainer) -> None:
    script = trainer.installed / "sd-scripts/sdxl_train_network.py"
    done = trainer.launch(*QUIET, script, "--nonsense")

    assert done.returncode == 1
    assert "error: unrecognized arguments: --nonsense" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("returned non-zero exit status 2.")


def test_an_unknown_option_of_the_launcher_exits_with_two(trainer: Trainer) -> None:
    done = trainer.launch("--num_gpus", "1", "x.py")

    assert done.returncode == 2
    assert done.stderr.startswith("usage: accelerate <command> [<args>]")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--mixed_precision", "fp32"),
            "argument --mixed_precision/--mixed-precision: invalid choice: 'fp32'",
        ),
        (
            ("--multi_gpu", "--num_processes", "1"),
            "You need to use at least 2 processes to use `--multi_gpu`.",
        ),
        (("--multi_gpu", "--cpu"), "You can only use one of `--cpu`, `--multi_gpu`"),
        (("--config_file", "nowhere.yaml"), "The passed configuration file `nowhere.yaml` does not exist."),
    ],
)
def test_options_that_cannot_be_are_refused(trainer: Trainer, options: tuple[str, ...], message: str) -> None:
    done = trainer.launch(*options, "x.py")

    assert done.returncode != 0
    assert message in done.stderr


def test_what_was_not_said_is_filled_in_with_a_warning(trainer: Trainer) -> None:
    script = trainer.machine.write("show.py", "import os; print(os.environ.get('WORLD_SIZE'))")
    trainer.machine.with_gpus(*[("NVIDIA A100-SXM4-80GB", 81920)] * 2)
    done = trainer.launch(script)

    assert (
        "The following values were not passed to `accelerate launch` and had defaults used instead:"
        in done.stdout
    )
    assert "`--num_processes` was set to a value of `2`" in done.stdout
    assert "More than one GPU was found, enabling multi-GPU training." in done.stdout
    assert done.stdout.splitlines()[-1] == "2"


def test_a_written_configuration_silences_the_warnings(trainer: Trainer) -> None:
    accelerate = trainer.installed / "venv/bin/accelerate"
    done = trainer.machine.run(accelerate, "config", "default", "--mixed_precision", "bf16")
    file = trainer.home / ".cache/huggingface/accelerate/default_config.yaml"
    assert done.stdout == f"accelerate configuration saved at {file}\n"
    assert json.loads(file.read_text())["mixed_precision"] == "bf16"

    script = trainer.machine.write("show.py", "import os; print(os.environ['ACCELERATE_MIXED_PRECISION'])")
    assert trainer.launch(script).stdout == "bf16\n"
    again = trainer.machine.run(accelerate, "config", "default")
    assert "Configuration already exists" in again.stdout


def test_a_yaml_of_ones_own_is_read(trainer: Trainer) -> None:
    config = trainer.machine.write(
        "own.yaml", "distributed_type: NO\nmixed_precision: 'fp16'\nnum_processes: 1\n"
    )
    script = trainer.machine.write("show.py", "import os; print(os.environ['ACCELERATE_MIXED_PRECISION'])")

    assert trainer.launch("--config_file", config, script).stdout == "fp16\n"


def test_a_process_of_several_that_fails_is_told_by_elastic(trainer: Trainer) -> None:
    trainer.machine.with_gpus(*[("NVIDIA A100-SXM4-80GB", 81920)] * 2)
    script = trainer.machine.write("fail.py", "raise SystemExit(1)")
    done = trainer.launch("--multi_gpu", "--num_processes", "2", script)

    assert done.returncode == 1
    assert "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:" in done.stderr
    assert re.search(r"exitcode  : 1 \(pid: \d+\)", done.stderr)


def test_more_processes_than_gpus_end_in_a_cuda_error(trainer: Trainer) -> None:
    script = trainer.installed / "sd-scripts/sdxl_train_network.py"
    done = trainer.launch("--multi_gpu", "--num_processes", "2", script, *trainer.lora_arguments())

    assert done.returncode == 1
    assert "CUDA error: invalid device ordinal" in done.stderr


def test_the_environment_can_be_described(trainer: Trainer) -> None:
    lines = trainer.machine.run(trainer.installed / "venv/bin/accelerate", "env").stdout.splitlines()

    assert "- `Accelerate` version: 1.6.0" in lines
    assert "- PyTorch version (GPU?): 2.7.1+cu128 (True)" in lines
    assert "- GPU type: NVIDIA GeForce RTX 4090" in lines
