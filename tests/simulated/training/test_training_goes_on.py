"""A run is begun once, and goes on after whatever took its machine, its trainer or its computer away."""

from collections.abc import Callable

from trainings import LIMIT, SLOW, Home, Node

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
