"""A machine that was rented by hand becomes the stack's by its id, and is then like any other."""

import pytest
from engine_runs import Cloud, MakeStack


@pytest.fixture
def rented_by_hand(cloud: Cloud) -> int:
    query = {"gpu_name": {"eq": "RTX 4090"}, "num_gpus": {"eq": 1}, "cuda_max_good": {"gte": 12.4}}
    offer = cloud.api("POST", "/api/v0/bundles/", query)["offers"][0]["id"]
    body = {"image": "vastai/pytorch", "disk": 50, "runtype": "ssh_direc ssh_proxy", "label": "by hand"}
    return int(cloud.api("PUT", f"/api/v0/asks/{offer}/", body)["new_contract"])


def test_an_adopted_machine_is_verified_labelled_kept_and_destroyed(
    rented_by_hand: int, make_stack: MakeStack, cloud: Cloud
) -> None:
    stack = make_stack("adopting", override__node__adopt=rented_by_hand)
    output = stack.up()

    assert f"adopting instance {rented_by_hand}" in output
    assert f"instance {rented_by_hand} is verified" in output
    assert stack.outputs()["instance"] == rented_by_hand
    assert cloud.billing("adopting/node") == [rented_by_hand]
    assert len(cloud.contracts("")) == 1

    assert stack.steps() == {"same": 3}
    stack.configure(override__node__adopt=None)
    assert stack.steps() == {"same": 3}
    stack.destroy()
    assert cloud.billing("") == []


def test_adopting_what_is_not_there_rents_nothing(make_stack: MakeStack, cloud: Cloud) -> None:
    stack = make_stack("mistaken", override__node__adopt=12345)
    done = stack.try_("up", "--yes", "--skip-preview")

    assert done.code != 0
    assert "node.adopt: this account has no instance 12345" in done.output
    assert cloud.contracts("mistaken/") == []
