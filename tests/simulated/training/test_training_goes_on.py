"""A run is begun once, and goes on after whatever took its machine, its trainer or its computer away."""

from collections.abc import Callable

import pytest
from trainings import (
    ALL,
    EPOCHS,
    FAST,
    LIMIT,
    PER_EPOCH,
    SLOW,
    Home,
    Node,
    assert_at_home,
    follow,
    watched,
)

from components.errors import FraguaError
from components.kohya.books import LEDGER
from components.kohya.ledger import next_part, steps_done
from components.kohya.training import stop
from components.record.checkpoint import check, lora, read_metadata

MakeHome = Callable[..., Home]


def test_a_run_is_begun_once_and_then_taken_up(node: Node, make_home: MakeHome) -> None:
    node.facts(scale=SLOW)
    home = make_home()
    with node.shell() as shell:
        first = home.open(shell).go_on(shell, node.id, LIMIT)
        [trainer] = node.trainers(shell)
        second = home.open(shell).go_on(shell, node.id, LIMIT)

        assert first.progress.step
        assert second.progress.step >= first.progress.step
        assert node.trainers(shell) == [trainer]
    assert len(home.ledger.parts) == 1


def test_a_machine_that_was_restarted_goes_on_after_what_was_whole_on_it(
    node: Node, make_home: MakeHome
) -> None:
    """Nothing had come home before; afterwards nothing is sent, since all of it is there."""
    node.facts(scale=SLOW)
    home = make_home()
    with node.shell() as shell:
        follower = home.open(shell).go_on(shell, node.id, LIMIT)
        watched(shell, follower, lambda: follower.progress.step > 2 * PER_EPOCH + 5)
    node.restart()

    node.facts(scale=FAST)
    with node.shell() as shell:
        run = home.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        assert len(node.trainers(shell)) <= 1
        assert follow(shell, run, follower).state == "done"

    first, second = home.ledger.parts
    assert first.ended == "preempted"
    assert (second.done, second.state) == (2, "part-1/cat-000002-state")
    assert not [line for line in home.said if "sent" in line]
    assert run.complete
    assert home.shown == ALL
    assert steps_done(home.ledger) == (
        EPOCHS * PER_EPOCH + first.steps - 2 * PER_EPOCH,
        first.steps - 2 * PER_EPOCH,
        0,
    )
    metadata = read_metadata(home.folder / "cat.safetensors")
    assert check(metadata, lora(dim=32, alpha=16, epochs=EPOCHS, epoch=EPOCHS)) == []


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_another_machine_gets_the_state_and_goes_on(
    nodes: list[Node], make_home: MakeHome, kind: str
) -> None:
    """At home the names of checkpoints count the run's epochs, and two states at most take room."""
    home = make_home(lora={} if kind == "lora" else None)
    for node, epochs in zip((*nodes, nodes[0]), (2, 3, EPOCHS), strict=True):
        node.facts(scale=SLOW if epochs < EPOCHS else FAST)
        with node.shell() as shell:
            run = home.open(shell)
            follower = run.go_on(shell, node.id, LIMIT)
            follow(shell, run, follower, lambda: next_part(run.ledger).done >= epochs)  # noqa: B023 - at once
            assert 1 <= len(home.states) <= 2
            stop(shell, run.job)

    assert home.ends == ["preempted", "preempted", ""]
    parts = home.ledger.parts
    assert [part.machine for part in parts] == [nodes[0].id, nodes[1].id, nodes[0].id]
    assert [part.state.partition("/")[0] for part in parts] == ["", "part-1", "part-2"]
    assert 2 <= parts[1].done < parts[2].done
    assert steps_done(home.ledger).left == 0
    assert any("sent" in line for line in home.said)
    assert home.shown == ALL
    assert home.open().complete
    assert [path.name for path in home.open().checkpoints] == ALL


def test_another_computer_takes_the_run_over_from_the_machine(node: Node, make_home: MakeHome) -> None:
    """What the first computer has is not here: all of it comes, also from the part before."""
    node.facts(scale=SLOW)
    here, there = make_home("here"), make_home("there")
    with node.shell() as shell:
        run = here.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        follow(shell, run, follower, lambda: next_part(run.ledger).done >= 2)
        stop(shell, run.job)
        assert here.open(shell).go_on(shell, node.id, LIMIT).progress.step

        [trainer] = node.trainers(shell)
        other = there.open(shell)
        follower = other.go_on(shell, node.id, LIMIT)
        assert node.trainers(shell) == [trainer]
        follow(shell, other, follower)

    assert other.complete
    assert len(there.ledger.parts) == 2
    assert there.shown == ALL
    assert_at_home(there)


def test_a_computer_that_was_left_behind_takes_up_what_another_one_began(
    node: Node, make_home: MakeHome
) -> None:
    node.facts(scale=SLOW)
    here, there = make_home("here"), make_home("there")
    with node.shell() as shell:
        run = here.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        follow(shell, run, follower, lambda: next_part(run.ledger).done > 0)
        stop(shell, run.job)
        there.open(shell).go_on(shell, node.id, LIMIT)

        [trainer] = node.trainers(shell)
        run = here.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        assert node.trainers(shell) == [trainer]
        follow(shell, run, follower)
    assert len(here.ledger.parts) == 2
    assert here.shown == ALL
    assert_at_home(here)


def test_a_machine_that_was_restarted_after_the_last_save_trains_nothing_more(
    node: Node, make_home: MakeHome
) -> None:
    home = make_home()
    with node.shell() as shell:
        run = home.open(shell)
        watched(shell, run.go_on(shell, node.id, LIMIT), lambda: False)
        shell.run("forgetting the exit code", f"rm /workspace/.fragua/jobs/{run.job}/exit")

        follower = home.open(shell).go_on(shell, node.id, LIMIT)
        assert follower.progress.finished
        assert node.trainers(shell) == []
    assert home.ends == ["preempted"]
    assert home.open().complete
    assert home.shown == ALL


@pytest.mark.parametrize("where", ["home", "machine"])
def test_a_damaged_ledger_is_said_and_nothing_is_started(node: Node, make_home: MakeHome, where: str) -> None:
    home = make_home()
    folder = home.launch.folder
    with node.shell() as shell:
        if where == "home":
            home.folder.mkdir()
            (home.folder / LEDGER).write_text('{"run": "cat-')
        else:
            shell.run(
                "damaging", f"cd /workspace; mkdir -p {folder}; echo '{{\"run\": 3}}' > {folder}/{LEDGER}"
            )
        with pytest.raises(FraguaError, match=rf"{LEDGER}.*damaged, or another version's"):
            home.open(shell).go_on(shell, node.id, LIMIT)
        assert node.trainers(shell) == []
        assert shell.run("listing", "ls /workspace/.fragua/jobs | grep train; true") == ""
