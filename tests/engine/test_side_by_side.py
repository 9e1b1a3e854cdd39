"""People with the same stack name on one account, each with a backend of their own, at the same time."""

from engine_runs import Cloud, MakeStack, Stack


def at_once(stacks: list[Stack], *command: str) -> None:
    for process in [stack.start(*command, "--yes", "--skip-preview") for stack in stacks]:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output


def test_stacks_of_one_name_never_touch_each_other_s_machines(make_stack: MakeStack, cloud: Cloud) -> None:
    stacks = [make_stack("triplet") for _ in range(3)]
    at_once(stacks, "up")
    machines = [stack.outputs()["instance"] for stack in stacks]
    assert sorted(cloud.billing("triplet/")) == sorted(machines)
    assert len(set(machines)) == 3

    at_once(stacks[:2], "destroy")
    assert cloud.billing("triplet/") == machines[2:]
    assert len([key for key in cloud.ssh_keys() if "fragua triplet" in key]) == 1
    assert stacks[2].steps() == {"same": 3}
    stacks[2].destroy()
    assert cloud.billing("triplet/") == []
