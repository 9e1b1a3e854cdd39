"""A contract's life: provisioning, stop and start, reboot, recycle, exits, dead hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rest_client import Client

from simulator.server import Simulator

FIELDS = json.loads((Path(__file__).parent / "fields.json").read_text())


def put(api: Client, path: str, body: Any = None) -> Any:
    return api.ok("PUT", f"/api/v0/instances/{path}/", body or {})


def test_a_contract_is_provisioned_step_by_step(api: Client):
    offer = api.offer(inet_down={"gte": 1000})
    number = api.rent(offer["id"])
    seen: list[Any] = [api.instance(number)["actual_status"]]
    for _ in range(200):
        api.advance(1)
        instance = api.instance(number)
        if instance["actual_status"] != seen[-1]:
            seen.append(instance["actual_status"])
        if instance["actual_status"] == "running":
            break
        assert instance["ports"] is None
        assert (instance["cur_state"], instance["intended_status"]) == ("running", "running")
    assert seen == [None, "created", "loading", "running"]
    assert instance["status_msg"].startswith("success, running vastai/pytorch")


def test_the_pull_takes_as_long_as_the_image_and_the_link_say(api: Client):
    slow = api.rent(api.offer(inet_down={"lt": 400}, rented={"eq": True})["id"])
    fast = api.rent(api.offer(inet_down={"gte": 1000}, rented={"eq": True})["id"])
    tiny = api.rent(api.offer(inet_down={"gte": 1000}, rented={"eq": True})["id"], image="ubuntu:22.04")
    api.advance(3600)
    loading = {row["id"]: row["seconds"]["loading"] for row in api.bill()["contracts"]}
    assert loading[tiny] < 10 < loading[fast] < 120 < loading[slow]


def test_the_port_map_comes_a_little_after_running(api: Client):
    number = api.rent(api.offer()["id"])
    while api.instance(number)["actual_status"] != "running":
        api.advance(1)
    assert api.instance(number)["ports"] is None
    api.advance(10)
    ports = api.instance(number)["ports"]["22/tcp"]
    assert {row["HostIp"] for row in ports} == {"0.0.0.0", "::"}
    assert all(isinstance(row["HostPort"], str) for row in ports)


def test_every_documented_field_is_there_and_by_id_omits_the_ports(api: Client):
    instance = api.running()
    assert set(FIELDS["instance"]) <= set(instance)
    by_id = api.ok("GET", f"/api/v0/instances/{instance['id']}/", owner="me")["instances"]
    assert set(instance) - set(by_id) == {"ports"}
    assert by_id["public_ipaddr"] != by_id["public_ipaddr"].strip() == "127.0.0.1"
    assert by_id["ssh_host"] == "127.0.0.1"


def test_an_unknown_instance_reads_as_null_with_200(api: Client):
    assert api.call("GET", "/api/v0/instances/1/") == (200, {"instances": None})
    number = api.rent(api.offer()["id"])
    api.ok("DELETE", f"/api/v0/instances/{number}/", {})
    assert api.call("GET", f"/api/v0/instances/{number}/") == (200, {"instances": None})


def test_without_direct_ssh_no_port_is_mapped_for_it(api: Client):
    number = api.rent(api.offer()["id"], runtype="ssh_proxy")
    api.advance(900)
    instance = api.instance(number)
    assert instance["ports"] == {}
    assert (instance["direct_port_start"], instance["direct_port_end"]) == (-1, -1)
    assert instance["ssh_port"] > 0


def test_the_current_price_has_no_gpu_part_until_it_runs(api: Client):
    number = api.rent(api.offer()["id"])
    assert api.instance(number)["instance"]["gpuCostPerHour"] == 0
    api.advance(900)
    instance = api.instance(number)
    assert instance["instance"] == instance["search"]
    assert instance["dph_total"] == pytest.approx(
        instance["dph_base"] + instance["storage_total_cost"], abs=2e-6
    )


def test_a_stop_reads_stopped_or_exited_and_the_proxy_port_stays_over_a_start(api: Client):
    words = set()
    for _ in range(6):
        before = api.running(rented={"eq": True})
        put(api, str(before["id"]), {"state": "stopped"})
        api.advance(10)
        stopped = api.instance(before["id"])
        words.add(stopped["actual_status"])
        assert (stopped["intended_status"], stopped["cur_state"]) == ("stopped", "stopped")
        assert stopped["ports"] is None
        put(api, str(before["id"]), {"state": "running"})
        api.advance(30)
        after = api.instance(before["id"])
        assert after["actual_status"] == "running"
        assert after["ports"] != before["ports"]
        assert after["ssh_port"] == before["ssh_port"]
    assert words == {"stopped", "exited"}


def test_a_start_waits_in_scheduling_while_somebody_has_the_gpus(api: Client):
    instance = api.running()
    put(api, str(instance["id"]), {"state": "stopped"})
    api.advance(10)
    again = api.search(
        machine_id={"eq": instance["machine_id"]},
        num_gpus={"eq": instance["num_gpus"]},
        rented={"eq": True},
    )
    for offer in again:
        api.ok("POST", f"/_sim/offers/{offer['id']}/take", {"seconds": 3600})
    put(api, str(instance["id"]), {"state": "running"})
    api.advance(600)
    waiting = api.instance(instance["id"])
    assert (waiting["intended_status"], waiting["next_state"]) == ("running", "running")
    assert waiting["cur_state"] == "stopped"
    api.advance(3600)
    assert api.instance(instance["id"])["actual_status"] == "running"


def test_a_stop_and_a_start_in_quick_succession_end_running(api: Client):
    instance = api.running()
    for state in ("stopped", "running", "stopped", "running"):
        put(api, str(instance["id"]), {"state": state})
    api.advance(60)
    assert api.instance(instance["id"])["actual_status"] == "running"


def test_a_stop_while_loading_needs_no_machine_and_a_start_pulls_anew(api: Client):
    number = api.rent(api.offer()["id"])
    api.advance(8)
    assert api.instance(number)["actual_status"] == "loading"
    put(api, str(number), {"state": "stopped"})
    api.advance(10)
    assert api.instance(number)["actual_status"] in ("stopped", "exited")
    put(api, str(number), {"state": "running"})
    api.advance(900)
    assert api.instance(number)["actual_status"] == "running"


def test_a_reboot_passes_through_rebooting_and_keeps_the_gpus(api: Client):
    instance = api.running()
    put(api, f"reboot/{instance['id']}")
    rebooting = api.instance(instance["id"])
    assert (rebooting["actual_status"], rebooting["cur_state"]) == ("rebooting", "running")
    api.advance(30)
    assert api.instance(instance["id"])["actual_status"] == "running"


def test_a_recycle_pulls_again_and_loses_the_files(api: Client, sim: Simulator):
    instance = api.running()
    machine = sim.world.hosts.get(instance["id"])
    put(api, f"recycle/{instance['id']}")
    api.advance(1)
    assert api.instance(instance["id"])["actual_status"] == "recycling"
    api.advance(900)
    assert api.instance(instance["id"])["actual_status"] == "running"
    assert machine.events[-1] == "destroy"
    assert sim.world.hosts.get(instance["id"]) is not machine


def test_updating_the_template_makes_a_new_container(api: Client, sim: Simulator):
    instance = api.running()
    answer = put(api, f"update_template/{instance['id']}", {"image": "ubuntu:24.04", "env": {"A": "b"}})
    assert answer["updated_instance"]["image_uuid"] == "ubuntu:24.04"
    api.advance(900)
    assert api.instance(instance["id"])["actual_status"] == "running"
    spec = sim.world.hosts.get(instance["id"]).spec
    assert (spec.image, spec.env) == ("ubuntu:24.04", {"A": "b"})


def test_a_container_that_ends_is_exited_with_its_gpus_kept(api: Client):
    instance = api.running()
    api.ok("POST", f"/_sim/instances/{instance['id']}/exit", {})
    exited = api.instance(instance["id"])
    assert (exited["actual_status"], exited["intended_status"], exited["cur_state"]) == (
        "exited", "running", "running",
    )  # fmt: skip
    put(api, str(instance["id"]), {"state": "running"})
    api.advance(30)
    assert api.instance(instance["id"])["actual_status"] == "running"


def test_an_offline_host_hides_the_status_and_comes_back(api: Client):
    instance = api.running()
    api.ok("POST", f"/_sim/instances/{instance['id']}/offline", {})
    gone = api.instance(instance["id"])
    assert (gone["actual_status"], gone["intended_status"]) == ("offline", "running")
    api.advance(600)
    assert api.instance(instance["id"])["actual_status"] == "offline"
    api.ok("POST", f"/_sim/instances/{instance['id']}/online", {})
    api.advance(30)
    assert api.instance(instance["id"])["actual_status"] == "running"


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [("stuck_loading", "loading", "Pulling"), ("never_running", "created", "OCI runtime create failed")],
)
def test_a_bad_host_never_gets_to_running(api: Client, fault: str, status: str, message: str):
    offer = api.offer()
    api.ok("POST", f"/_sim/machines/{offer['machine_id']}/fault", {"fault": fault})
    number = api.rent(offer["id"])
    api.advance(86400)
    instance = api.instance(number)
    assert instance["actual_status"] == status
    assert message in instance["status_msg"]
    assert api.bill()["gpu"] == 0


@pytest.mark.parametrize(
    ("fault", "attribute", "differs"),
    [
        ("wrong_gpu", "gpu_name", True),
        ("low_vram", "gpu_ram", True),
        ("old_driver", "driver_version", True),
        (None, "gpu_name", False),
    ],
)
def test_a_host_may_have_other_hardware_than_its_offer(
    api: Client, sim: Simulator, fault: str | None, attribute: str, differs: bool
):
    offer = api.offer(gpu_name={"eq": "RTX 4090"})
    api.ok("POST", f"/_sim/machines/{offer['machine_id']}/fault", {"fault": fault})
    number = api.rent(offer["id"])
    spec = sim.world.hosts.get(number).spec
    honest = {"gpu_name": "NVIDIA GeForce RTX 4090", **offer}[attribute]
    if attribute == "gpu_name":
        honest = "NVIDIA GeForce RTX 4090"
    assert (getattr(spec, attribute) != honest) is differs
    assert api.instance(number)["gpu_name"] == "RTX 4090", "the API goes on saying what was advertised"


@pytest.mark.parametrize("fault", ["dead_ssh", "disk_full"])
def test_some_faults_are_the_machines_own(api: Client, sim: Simulator, fault: str):
    offer = api.offer()
    api.ok("POST", f"/_sim/machines/{offer['machine_id']}/fault", {"fault": fault})
    assert sim.world.hosts.get(api.rent(offer["id"])).spec.faults == {fault}


def test_a_changed_port_changes_the_map_while_it_runs(api: Client):
    before = api.running()
    api.ok("POST", f"/_sim/machines/{before['machine_id']}/fault", {"fault": "changed_port"})
    after = api.instance(before["id"])
    assert after["actual_status"] == "running"
    assert after["ports"] != before["ports"]


def test_a_contract_ends_at_its_end_date_and_cannot_be_started(api: Client):
    instance = api.running(duration={"lte": 10 * 86400})
    api.advance(instance["end_date"] - instance["start_date"])
    ended = api.instance(instance["id"])
    assert ended["actual_status"] in ("stopped", "exited")
    status, answer = api.call("PUT", f"/api/v0/instances/{instance['id']}/", {"state": "running"})
    assert (status, answer["error"]) == (400, "invalid_args")


def test_labels_are_limited_and_not_unique(api: Client):
    first, second = (api.rent(offer["id"]) for offer in api.search(num_gpus={"eq": 1}, limit=2))
    for number in (first, second):
        put(api, str(number), {"label": "twin"})
    answer = api.ok("GET", "/api/v1/instances/", select_filters={"label": {"eq": "twin"}})
    assert [row["id"] for row in answer["instances"]] == [first, second]
    status, refused = api.call("PUT", f"/api/v0/instances/{first}/", {"label": "x" * 1025})
    assert (status, refused["error"]) == (400, "label_too_long")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PUT", "instances/1", {"state": "running"}, 404, "no_such_instance"),
        ("PUT", "instances/1", {"label": "x"}, 404, "no_such_instance"),
        ("PUT", "instances/bid_price/1", {"price": 1}, 404, "no_such_instance"),
        ("PUT", "instances", {"state": "stopped", "ids": [1]}, 404, "no_such_instance"),
        ("DELETE", "instances/1", {}, 404, "not_found"),
        ("PUT", "instances/request_logs/1", {}, 404, "invalid_id"),
        ("PUT", "instances/command/1", {"command": "ls"}, 400, "invalid_container_id"),
        ("POST", "instances/1/ssh", {"ssh_key": "ssh-ed25519 A"}, 404, "no_such_instance"),
    ],
)
def test_acting_on_what_is_not_there(api: Client, method: str, path: str, body: Any, status: int, code: str):
    answer = api.call(method, f"/api/v0/{path}/", body)
    assert (answer[0], answer[1]["error"]) == (status, code)


@pytest.mark.parametrize("body", [{}, {"state": "paused"}, {"label": 5}])
def test_a_wrong_order_is_refused(api: Client, body: Any):
    number = api.rent(api.offer()["id"])
    assert api.call("PUT", f"/api/v0/instances/{number}/", body)[0] == 400


def test_bulk_stop_and_bulk_destroy(api: Client):
    numbers = [api.rent(offer["id"]) for offer in api.search(num_gpus={"eq": 1}, limit=3)]
    api.ok("PUT", "/api/v0/instances/", {"state": "stopped", "ids": numbers})
    assert {api.instance(number)["intended_status"] for number in numbers} == {"stopped"}
    api.ok("DELETE", "/api/v0/instances/", {"instance_ids": [*numbers, 1]})
    assert api.bill()["billing_now"] == 0


def test_an_image_login_is_never_read_back(api: Client):
    number = api.rent(api.offer()["id"], image_login="-u me -p hunter2 docker.io")
    assert "hunter2" not in json.dumps(api.instance(number))
