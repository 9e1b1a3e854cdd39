"""Two people with the same stack name on one account, each with a backend of their own, at the same time."""

from engine_runs import Cloud, MakeStack, Stack


def at_once(stacks: list[Stack], *command: str) -> None:
    for process in [stack.start(*command, "--yes", "--skip-preview") for stack in stacks]:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output


def test_stacks_of_one_name_never_touch_each_other_s_machines(make_stack: MakeStack, cloud: Cloud) -> None:
    one, other = twins = [make_stack("twin"), make_stack("twin")]
    at_once(twins, "up")
    mine, theirs = one.outputs()["instance"], other.outputs()["instance"]
    assert mine != theirs
    assert sorted(cloud.billing("twin/")) == sorted([mine, theirs])

    one.destroy()
    assert cloud.billing("twin/") == [theirs]
    assert other.steps() == {"same": 3}

    one.up()
    at_once(twins, "destroy")
    assert cloud.billing("twin/") == []
    assert not any("fragua twin" in key for key in cloud.ssh_keys())
