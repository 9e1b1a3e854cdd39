"""A training that fails says why and what to do, stops where it must, and leaves a ledger that knows."""

from collections.abc import Callable
from typing import Any

import pytest
from trainings import ALL, FAST, LIMIT, PER_EPOCH, SLOW, Home, Node, follow, watched

from cli import watch as watching
from cli.bids import Bids
from cli.console import Voice
from components.errors import TrainingFailed
from components.kohya.ledger import next_part
from components.kohya.running import begin, end
from components.kohya.training import stop
from components.remote.job import Job, start_script
from components.remote.jobs import state
from components.vast.outputs import outputs
from toolchain.bootstrap import ROOT

MakeHome = Callable[..., Home]

TOO_SMALL = 8900
"""MiB: too few for a batch of two images, enough for one."""


def test_too_little_vram_is_answered_by_the_smaller_plan_where_the_job_allows_it(
    node: Node, make_home: MakeHome
) -> None:
    """When the run goes on, the larger plan is not tried again."""
    home = make_home(training={"on_oom": "smaller"})
    node.facts(memory_mib=TOO_SMALL, scale=SLOW)
    with node.shell() as shell:
        run = home.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        follow(shell, run, follower, lambda: next_part(run.ledger).done >= 1)
        stop(shell, run.job)
        node.facts(scale=FAST)
        follow(shell, run, run.go_on(shell, node.id, LIMIT))

    first, second, third = home.ledger.parts
    assert home.ends == ["failed", "preempted", ""]
    assert [part.variant for part in home.ledger.parts] == [0, second.variant, second.variant]
    assert first.steps == 0
    assert third.state == f"part-2/cat-{third.done:06}-state"
    assert second.steps >= PER_EPOCH
    assert run.complete
    assert sum("trying batch size 1" in line or "batch size 1, 2" in line for line in home.said) == 1


def test_vram_that_turns_out_to_be_too_little_later_is_answered_likewise(
    node: Node, make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ran out of memory on a machine is too large for it: the same again would be for nothing."""
    monkeypatch.setattr(watching, "_POLL", 0.02)
    home = make_home(training={"on_oom": "smaller"})
    node.facts(memory_mib=10_000, faults=["large_images"])
    props = {**outputs(node.machine), "url": node.cloud.url}
    found = {
        "instance": node.id,
        "gpu": "1x RTX 4090",
        "pricePerHour": 0.4,
        "interruptible": False,
        "url": node.cloud.url,
        "props": props,
        "login": home.props(node)["login"],
        "launch": home.launch.model_dump_json(),
        "checkpoints": str(home.folder),
    }
    follower = watching.Watching(ROOT, found, Voice(), Bids(None))  # type: ignore[arg-type] - it has no bid
    checkpoints = follower.to_the_end()

    assert [path.name for path in checkpoints] == ALL
    first, second = home.ledger.parts
    assert (first.ended, second.ended) == ("failed", "done")
    assert first.steps > PER_EPOCH
    assert (second.done, second.state) == (1, "part-1/cat-000001-state")
    assert (first.variant, second.variant) == (0, 1)
    assert "the VRAM is not enough: trying" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("when", "memory", "changes"),
    [
        ("before", TOO_SMALL, {}),
        ("after", 12_400, {"lora": {"dim": 128, "alpha": 64}, "training": {"optimizer": "AdamW"}}),
    ],
)
def test_too_little_vram_ends_it_where_the_job_does_not(
    node: Node, make_home: MakeHome, when: str, memory: int, changes: dict[str, Any]
) -> None:
    """The states of the optimizer take their memory after the first step."""
    home = make_home(**changes)
    node.facts(memory_mib=memory)
    with pytest.raises(TrainingFailed) as failure:
        begin(home.props(node))

    first, *rest = str(failure.value).splitlines()
    assert f"{when} its first step (exit code 1)" in first
    assert "The machine still bills" in first
    assert any(line.startswith("  do: ") for line in rest)
    assert any("CUDA out of memory" in line for line in rest)
    assert home.ends == ["failed"]


def test_a_loss_that_is_no_number_stops_the_training_for_good(node: Node, make_home: MakeHome) -> None:
    home = make_home()
    node.facts(faults=["nan_loss"], scale=SLOW)
    with node.shell() as shell:
        run = home.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        with pytest.raises(
            TrainingFailed, match=r"the loss is nan at step \d+: stopped\. Lower the learning"
        ):
            follow(shell, run, follower)
        assert follower.progress.step < 2 * PER_EPOCH
        assert node.trainers(shell) == []

        with pytest.raises(TrainingFailed, match="the loss is nan"):
            home.open(shell).go_on(shell, node.id, LIMIT)
        assert node.trainers(shell) == []
    assert len(home.ledger.parts) == 1


def test_an_empty_dataset_is_a_failure_though_the_trainer_calls_it_none(
    node: Node, make_home: MakeHome
) -> None:
    home = make_home()
    with node.shell() as shell:
        shell.run("emptying", "cd /workspace; mv dataset kept; mkdir dataset")
    try:
        with pytest.raises(TrainingFailed) as failure:
            begin(home.props(node))
    finally:
        with node.shell() as shell:
            shell.run("filling", "cd /workspace; rm -r dataset; mv kept dataset")

    first, *rest = str(failure.value).splitlines()
    assert "done before its first step (exit code 0)" in first
    assert "The machine still bills" in first
    assert rest[0].startswith("No image was found")
    assert rest[2].startswith("  do: ")
    assert begin(home.props(node)) == 5 * PER_EPOCH, "it is tried again, now that there are images"
    assert home.ends == ["failed", ""]


def test_a_preparation_that_failed_is_explained(node: Node, make_home: MakeHome) -> None:
    home = make_home()
    log = "seq 100; echo 'OSError: [Errno 28] No space left on device'; exit 3"
    with pytest.raises(TrainingFailed) as failure:
        begin({**home.props(node), "preparations": {"failing": log}})

    first, diagnosis, *rest = str(failure.value).splitlines()
    assert first.startswith("failing failed on the machine (exit code 3). The machine still bills")
    assert diagnosis.startswith("The machine's disk is full")
    assert rest[-2:] == ["100", "OSError: [Errno 28] No space left on device"]
    assert not home.folder.exists()


def test_the_end_of_a_run_stops_all_its_parts_and_no_other_run(node: Node, make_home: MakeHome) -> None:
    home, other = make_home(), make_home("other", lora={"dim": 8, "alpha": 4})
    node.facts(scale=SLOW)
    with node.shell() as shell:
        follower = home.open(shell).go_on(shell, node.id, LIMIT)
        watched(shell, follower, lambda: follower.progress.step > 0)
        mine = [follower.name, f"train-{home.launch.run}-2", f"train-{home.launch.run}-10"]
        for name in (*mine[1:], f"train-{other.launch.run}-1"):
            shell.run("starting", start_script(Job(name, "sleep 500")))

        end(home.props(node))

        assert {state(shell, name).state for name in mine} == {"lost"}
        assert node.trainers(shell) == []
        assert state(shell, f"train-{other.launch.run}-1").state == "running"
        assert state(shell, "install").state == "done"
        stop(shell, "train-*")


def test_the_end_of_a_run_on_a_machine_that_is_gone_is_no_error(node: Node, make_home: MakeHome) -> None:
    props = make_home().props(node)
    end({**props, "login": {**props["login"], "port": 9.0}})
