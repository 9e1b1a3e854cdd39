"""The commands. Each imports what it needs when it runs, so that `--help` answers at once."""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parent.parent

app = typer.Typer(
    help="Declarative GPU infrastructure for diffusion models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Form(StrEnum):
    """How `cost` prints."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


Stack = Annotated[str, typer.Argument(help="A stack of this project, such as train.")]


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the machine and the simulator up.")] = False,
) -> None:
    """Do the main job against the simulator, for nothing: train a LoRA, serve it, make an image, destroy."""
    from cli.demo import run

    raise typer.Exit(run(ROOT, keep=keep))


@app.command("test", context_settings={"ignore_unknown_options": True})
def check(
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to pytest.")] = None,
) -> None:
    """Run the whole test suite, lint and types included; with arguments, only pytest on them."""
    from cli.check import run

    raise typer.Exit(run(ROOT, arguments or []))


@app.command()
def bench(
    name: Annotated[
        str,
        typer.Argument(help="weight, fleet, transfer, startup, gateway or market: see README.md."),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="For transfer: `full`, and MB/s of a slower way.")
    ] = None,
) -> None:
    """Measure, and print ratios against a baseline of the same run."""
    from importlib import import_module

    import_module(f"bench.{name}").main(ROOT, *(arguments or []))


@app.command()
def simulator(
    port: Annotated[int, typer.Option(help="TCP port; 0 picks a free one.")] = 0,
    scale: Annotated[float, typer.Option(help="Virtual seconds per second.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Seed of the market.")] = 7,
    data: Annotated[Path, typer.Option(help="Folder of the simulated world; kept between runs.")] = ROOT
    / ".fragua/simulator",
) -> None:
    """Run the Vast.ai simulator alone and print the two settings that point any client at it."""
    from cli.simulation import serve

    raise typer.Exit(serve(port=port, scale=scale, seed=seed, data=data))


@app.command()
def train(
    jobs: Annotated[
        list[Path], typer.Argument(help="Job files; several are trained in turn on one machine.")
    ],
    *,
    stack: Annotated[str, typer.Option(help="Name of the stack; the first job's by default.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the machine up at the end.")] = False,
    stop: Annotated[bool, typer.Option("--stop-on-failure", help="Do not go on after a failed job.")] = False,
) -> None:
    """Train from start to end: rent, train, bring home, destroy. Run again, it goes on where it was."""
    from cli.train import run

    raise typer.Exit(run(ROOT, jobs, name=stack, keep=keep, stop=stop))


@app.command("generate")
def make_image(
    stack: Stack,
    prompt: Annotated[str, typer.Argument(help="What the image shows.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the PNG goes.")] = Path("image.png"),
    workflow: Annotated[str, typer.Option(help="As GET /workflows names it.")] = "text-to-image",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", help="More, as name=value: width=1024, seed=42, loras.cat=0.8."),
    ] = None,
) -> None:
    """Make an image through a stack's gateway, and save it."""
    from cli.generate import parsed, run

    run(ROOT, stack, {"workflow": workflow, "prompt": prompt, **parsed(parameters or [])}, output)


@app.command("check")
def check_job(
    job: Annotated[Path, typer.Argument(help="A job file.")],
) -> None:
    """Say whether a job can be right, what is derived, and what it needs; spends nothing."""
    from cli.job import run

    run(job)


@app.command()
def offers(
    job: Annotated[Path, typer.Argument(help="A job file.")],
    *,
    explain: Annotated[int | None, typer.Option(metavar="ID", help="Print the sum for this offer.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Print every offer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what a job would cost in all on each offer of the market now, and why the others lost."""
    from cli.offers import run

    run(job, explain, every=every, as_json=as_json)


@app.command()
def cost(
    what: Annotated[str, typer.Argument(metavar="STACK|JOB", help="A stack, as last previewed, or a job.")],
    *,
    form: Annotated[Form, typer.Option("--format", help="Markdown is for a pull request.")] = Form.TEXT,
    lock: Annotated[
        bool, typer.Option("--lock", help="Approve it: write the stack's lock file, to be committed.")
    ] = False,
) -> None:
    """Say what a stack or a job costs: offer, hours, total, ceiling, and what it changes."""
    from cli.cost import run

    run(ROOT, what, form.value, lock=lock)


@app.command()
def watch(stack: Stack) -> None:
    """Follow a stack's training to its end and bring each checkpoint home; can be closed and reopened."""
    from cli.watch import run

    run(ROOT, stack)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Say what runs now over all stacks, what it costs, and how long the balance and each lease last."""
    from cli.status import run

    run(ROOT, as_json=as_json)


@app.command()
def renew(
    stacks: Annotated[list[str], typer.Argument(metavar="STACK...", help="Stacks of this project.")],
) -> None:
    """Renew the leases of stacks' machines: they are in use, and must not end themselves yet."""
    from cli.renew import run

    run(ROOT, stacks)


@app.command()
def bill(
    since: Annotated[str, typer.Option(help="How far back, as 12h, 7d or 4w, or a date.")] = "30d",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what Vast.ai charged, for each stack and run."""
    from cli.bill import run

    run(ROOT, since, as_json=as_json)


@app.command()
def reap(
    instances: Annotated[
        list[int] | None, typer.Argument(help="Only these, by their ids; even if they may hold work.")
    ] = None,
    *,
    destroy: Annotated[bool, typer.Option("--destroy", help="End what is found, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    older_than: Annotated[
        str, typer.Option(help="Age, as 45m or 2h, from which what no stack has is an orphan.")
    ] = "30m",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List what bills for nothing, and end it on request; exits with 3 if there is something (for cron)."""
    from cli.reap import run

    raise typer.Exit(
        run(ROOT, instances or [], destroy=destroy, yes=yes, older_than=older_than, as_json=as_json)
    )


@app.command(context_settings={"allow_interspersed_args": False})
def ssh(
    stack: Stack,
    command: Annotated[list[str] | None, typer.Argument(help="Run this and return.")] = None,
    node: Annotated[int, typer.Option(min=1, help="Which machine, from 1; goes before STACK.")] = 1,
) -> None:
    """Open a shell on a stack's machine, with the stack's key and the pinned host key."""
    from cli.ssh import shell

    shell(ROOT, stack, command or [], node)


@app.command()
def tunnel(
    stack: Stack,
    node: Annotated[int, typer.Option(min=1, help="Which machine, from 1.")] = 1,
    comfyui_port: Annotated[int, typer.Option(help="Local port of ComfyUI's own page.")] = 18188,
    gateway_port: Annotated[int, typer.Option(help="Local port of the gateway.")] = 8000,
) -> None:
    """Reach a machine's ComfyUI and gateway at ports of this computer, through SSH, until Ctrl-C."""
    from cli.tunnel import run

    run(ROOT, stack, node, comfyui_port, gateway_port)


@app.command()
def front(
    stack: Stack,
    *,
    port: Annotated[int, typer.Option(help="To listen on.")] = 8080,
    listen: Annotated[str, typer.Option(help="IP address to listen on.")] = "127.0.0.1",
    domain: Annotated[str, typer.Option(help="Serve HTTPS under this name of yours, by Caddy.")] = "",
    only_print: Annotated[bool, typer.Option("--print", help="Print the configuration only.")] = False,
) -> None:
    """Spread requests over all replicas of a stack from one address here, until Ctrl-C."""
    from cli.front import run

    run(ROOT, stack, listen, port, domain, only_print=only_print)


@app.command()
def tensorboard(
    stack: Stack,
    port: Annotated[int, typer.Option(help="Local port.")] = 6006,
) -> None:
    """Show a training's curves at http://localhost:PORT through an SSH tunnel."""
    from cli.ssh import tensorboard as show

    show(ROOT, stack, port)


@app.command()
def calibrate() -> None:
    """Compare what your runs took with what was foreseen, and let the next estimates learn from it."""
    from cli.calibrate import run

    run(ROOT)


@app.command()
def diagnose(
    log: Annotated[str, typer.Argument(metavar="LOGFILE", help="The log of a training, or - to pipe it in.")],
    *,
    exit_code: Annotated[int | None, typer.Option(help="Of the training, if you know it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say why a training failed and what to do; exits with 1 if nothing known is in its log."""
    from cli.diagnose import run

    raise typer.Exit(run(log, exit_code, as_json=as_json))


dataset = typer.Typer(help="Look at a dataset before anything is rented.", no_args_is_help=True)
app.add_typer(dataset, name="dataset")


@dataset.command("check")
def check_dataset(
    folder: Annotated[Path, typer.Argument(help="Images, 10_name folders, or images/ and reg_images/.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images of one step.")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="How often each image is seen, its repeats apart.")] = 10,
    resolution: Annotated[int, typer.Option(min=256, max=2048, help="Training resolution.")] = 1024,
    class_tokens: Annotated[str, typer.Option(help="Caption of images that have none.")] = "",
    caption_extension: Annotated[str, typer.Option(help="Of the files with captions.")] = ".txt",
) -> None:
    """Find all that is wrong with a dataset, and count its steps; exits with 1 if it would be refused."""
    from cli.dataset import run

    code = run(
        folder,
        as_json=as_json,
        batch_size=batch_size,
        epochs=epochs,
        resolution=resolution,
        class_tokens=class_tokens,
        caption_extension=caption_extension,
    )
    raise typer.Exit(code)
