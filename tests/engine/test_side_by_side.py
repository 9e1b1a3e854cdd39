"""Two people with the same stack name on one account, each with a backend of their own, at the same time."""

from engine_runs import Cloud, MakeStack


def test_stacks_of_one_name_never_touch_each_other_s_machines(make_stack: MakeStack, cloud: Cloud) -> None:
    one, other = make_stack("twin"), make_stack("twin")
    for command in (("up", "--yes", "--skip-preview"),):
        for process in [stack.start(*command) for stack in (one, other)]:
            output, _ = process.communicate(timeout=200)
            assert process.returncode == 0, output
    mine, theirs = one.outputs()["instance"], other.outputs()["instance"]
    assert sorted(cloud.billing("twin/")) == sorted([mine, theirs])
    assert mine != theirs

    one.destroy()
    assert cloud.billing("twin/") == [theirs]
    assert other.steps() == {"same": 3}
    other.destroy()
    assert cloud.billing("twin/") == []
