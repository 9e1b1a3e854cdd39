"""SSH keys, templates, secrets, volumes, charges, logs and commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from rest_client import Client

from simulator.server import Simulator
from simulator.templates import parse_docker_flags

KEY = "ssh-ed25519 AAAAC3Nza me@here"


def test_an_account_key_reaches_new_instances_only(api: Client, sim: Simulator):
    before = api.running()["id"]
    made = api.ok("POST", "/api/v0/ssh/", {"ssh_key": f"{KEY}\0\n"})["key"]
    assert made["public_key"] == KEY
    after = api.rent(api.offer()["id"])
    api.advance(900)
    assert sim.world.hosts.get(before).keys == []
    assert sim.world.hosts.get(after).keys == [KEY]
    listed = api.ok("GET", "/api/v0/ssh/")
    assert isinstance(listed, list)
    assert listed[0]["key"] == KEY
    api.ok("DELETE", f"/api/v0/ssh/{made['id']}/")
    assert api.ok("GET", "/api/v0/ssh/") == []
    assert sim.world.hosts.get(after).keys == [KEY], "what has it keeps it"


def test_a_key_is_attached_by_its_text_and_detached_by_its_number(api: Client, sim: Simulator):
    number = api.running()["id"]
    path = f"/api/v0/instances/{number}/ssh/"
    api.ok("POST", path, {"ssh_key": KEY})
    api.ok("POST", path, {"ssh_key": KEY})
    assert sim.world.hosts.get(number).keys == [KEY]
    answer = api.ok("GET", path)
    assert isinstance(answer["ssh_keys"], str), "JSON within JSON"
    (row,) = json.loads(answer["ssh_keys"])
    assert row["ssh_key"] == KEY
    api.ok("DELETE", f"{path}{row['id']}/")
    assert sim.world.hosts.get(number).keys == []
    status, refused = api.call("DELETE", f"{path}{row['id']}/")
    assert (status, refused["error"]) == (404, "no_such_ssh_key")


def test_authorized_keys_is_rewritten_after_hours(api: Client, sim: Simulator):
    api.ok("POST", "/api/v0/ssh/", {"ssh_key": KEY})
    machine = sim.world.hosts.get(api.running()["id"])
    machine.keys = [KEY, "ssh-ed25519 BBBB appended from inside"]
    api.advance(3600)
    assert len(machine.keys) == 2
    api.advance(8 * 3600)
    assert machine.keys == [KEY]


@pytest.mark.parametrize("body", [{}, {"ssh_key": ""}, {"ssh_key": "hello"}, {"ssh_key": 5}])
def test_what_is_no_public_key_is_refused(api: Client, body: Any):
    status, answer = api.call("POST", "/api/v0/ssh/", body)
    assert (status, answer["error"]) == (400, "no_ssh_key")
    assert api.call("PUT", "/api/v0/ssh/1/", {"ssh_key": KEY})[0] == 400


def test_a_templates_hash_follows_its_content_and_its_id_stays(api: Client):
    fields = {"name": "mine", "image": "vastai/pytorch", "tag": "2.7", "env": "-e A=b -p 80:80"}
    first = api.ok("POST", "/api/v0/template/", fields)["template"]
    assert api.ok("POST", "/api/v0/template/", fields)["template"] == first
    edited = api.ok("PUT", "/api/v0/template/", {"hash_id": first["hash_id"], "desc": "x"})["template"]
    assert edited["id"] == first["id"]
    assert edited["hash_id"] != first["hash_id"]
    found = api.ok("GET", "/api/v0/template/", select_filters={"name": {"eq": "mine"}})
    assert (found["templates_found"], found["templates"]) == (1, [edited])
    assert api.ok("GET", "/api/v0/template/")["templates_found"] > 3, "public ones are there too"
    api.ok("DELETE", "/api/v0/template/", {"template_id": first["id"]})
    assert api.call("DELETE", "/api/v0/template/", {"template_id": first["id"]})[0] == 404
    assert api.call("POST", "/api/v0/template/", {**fields, "env": {"A": "b"}})[0] == 400


def test_a_template_fills_in_what_the_create_call_leaves_out(api: Client):
    fields = {
        "name": "mine", "image": "vastai/pytorch", "tag": "2.7", "env": "-e A=b -e C=d -p 80:80",
        "onstart": "echo hi", "ssh_direct": True, "runtype": "ssh", "recommended_disk_space": 33,
    }  # fmt: skip
    template = api.ok("POST", "/api/v0/template/", fields)["template"]
    body = {"template_hash_id": template["hash_id"], "env": {"A": "z"}}
    answer = api.ok("PUT", f"/api/v0/asks/{api.offer()['id']}/", body)
    instance = api.instance(answer["new_contract"])
    assert instance["image_uuid"] == "vastai/pytorch:2.7"
    assert instance["onstart"] == "echo hi"
    assert instance["disk_space"] == 33
    assert instance["image_runtype"] == "ssh ssh_direc ssh_proxy"
    assert dict(instance["extra_env"]) == {"A": "z", "C": "d", "-p 80:80": "1"}
    assert instance["template_hash_id"] == template["hash_id"]


def test_docker_flags_become_the_create_calls_object():
    flags = '-e A="b c" -p 8188:8188 -p 5000:5000/udp -h box -e EMPTY='
    assert parse_docker_flags(flags) == {
        "A": "b c", "-p 8188:8188": "1", "-p 5000:5000/udp": "1", "-h": "box", "EMPTY": "",
    }  # fmt: skip


def test_secrets_reach_new_containers_and_the_request_wins(api: Client, sim: Simulator):
    for name in ("hf_token", "wandb"):
        api.ok("POST", "/api/v0/secrets/", {"key": name, "value": "s"})
    assert (
        api.call("POST", "/api/v0/secrets/", {"key": "HF_TOKEN", "value": "t"})[1]["error"] == "existing_key"
    )
    api.ok("PUT", "/api/v0/secrets/", {"key": "hf_token", "value": "t"})
    assert api.ok("GET", "/api/v0/secrets/")["secrets"] == {"HF_TOKEN": "t", "WANDB": "s"}
    number = api.rent(api.offer()["id"], env={"WANDB": "mine"})
    assert sim.world.hosts.get(number).spec.env == {"HF_TOKEN": "t", "WANDB": "mine"}
    api.ok("DELETE", "/api/v0/secrets/", {"key": "wandb"})
    assert api.call("DELETE", "/api/v0/secrets/", {"key": "wandb"})[1]["error"] == "missing_input"


def test_a_volume_is_billed_until_it_is_deleted(api: Client):
    offers = api.ok("POST", "/api/v0/volumes/search/", {"disk_space": {"gte": 100}})["offers"]
    answer = api.ok("PUT", "/api/v0/volumes/", {"id": offers[0]["id"], "size": 72, "name": "data"})
    assert set(answer) == {"success", "volume_name"}
    (volume,) = api.ok("GET", "/api/v0/volumes", owner="me", type="local_volume")["volumes"]
    assert answer["volume_name"] == f"V.{volume['id']}"
    api.advance(7200)
    cost = offers[0]["storage_cost"] * 72 / 720 * 2
    assert api.bill()["total"] == pytest.approx(cost)
    assert api.bill()["volumes_billing_now"] == 1
    api.ok("DELETE", f"/api/v0/volumes/?id={volume['id']}", {})
    api.advance(7200)
    assert api.bill()["total"] == pytest.approx(cost)
    status, gone = api.call("DELETE", "/api/v0/volumes/", {"id": volume["id"]})
    assert (status, gone["error"]) == (404, "no_such_volume")
    for wrong in (
        {"id": 1},
        {"id": offers[0]["id"], "name": "no spaces"},
        {"id": offers[0]["id"], "size": 1e9},
    ):
        assert api.call("PUT", "/api/v0/volumes/", wrong)[0] == 400


def test_charges_are_the_ledger_by_instance(api: Client):
    first = api.running(inet_up_cost={"gt": 0})["id"]
    api.rent(api.offer()["id"], label="second")
    api.advance(3600)
    now = api.ok("GET", "/_sim/clock")["now"]
    day = {"day": {"gte": now - 86400, "lte": now}}
    answer = api.ok("GET", "/api/v0/charges/", select_filters=day)
    assert [row["source"] for row in answer["results"]] == [f"instance-{first}", f"instance-{first + 1}"]
    assert {item["type"] for item in answer["results"][0]["items"]} == {"gpu", "disk"}
    assert sum(row["amount"] for row in answer["results"]) == pytest.approx(api.bill()["total"])
    assert answer["results"][1]["metadata"]["label"] == "second"
    newest = api.ok("GET", "/api/v0/charges/", select_filters=day, latest_first=True, limit=1)
    assert newest["results"][0]["source"] == f"instance-{first + 1}"
    assert (newest["count"], newest["total"]) == (1, 2)
    rest = api.ok(
        "GET", "/api/v0/charges/", select_filters=day, limit=1, latest_first=True,
        after_token=newest["next_token"],
    )  # fmt: skip
    assert rest["results"][0]["source"] == f"instance-{first}"
    assert rest["next_token"] is None
    assert api.call("GET", "/api/v0/charges/")[0] == 400
    assert (
        api.call("GET", "/api/v0/charges/", select_filters=day, after_token="x")[1]["error"]
        == "invalid_token"
    )


def test_invoices_with_a_bad_range_are_200_without_success(api: Client):
    now = api.ok("GET", "/_sim/clock")["now"]
    good = {"when": {"gte": now - 10, "lte": now + 10}}
    answer = api.ok("GET", "/api/v1/invoices/", select_filters=good)
    assert [row["amount"] for row in answer["results"]] == [100.0]
    bad = api.ok("GET", "/api/v1/invoices/", select_filters={"when": {"gte": 5, "lte": 1}})
    assert bad["success"] is False
    assert bad["msg"] == "Invalid date range"


def fetch(url: str) -> str:
    assert requests.get(url, timeout=10).status_code == 404, "the text is not there at once"
    answer = requests.get(url, timeout=10)
    assert answer.status_code == 200
    return answer.text


def test_logs_come_by_a_link_that_is_too_early_at_first(api: Client):
    number = api.running()["id"]
    path = f"/api/v0/instances/request_logs/{number}/"
    assert fetch(api.ok("PUT", path, {})["result_url"]) == "booted\nready\n"
    assert fetch(api.ok("PUT", path, {"tail": "1"})["result_url"]) == "ready\n"
    assert fetch(api.ok("PUT", path, {"filter": "boot"})["result_url"]) == "booted\n"
    daemon = fetch(api.ok("PUT", path, {"daemon_logs": "true"})["result_url"])
    assert "Pulling vastai/pytorch:2.7.1" in daemon


def test_ls_du_and_rm_work_on_the_disk_of_a_stopped_instance(api: Client, sim: Simulator):
    number = api.rent(api.offer()["id"])
    tree = sim.world.disk(sim.world.contracts.get(number))  # type: ignore[arg-type]
    (tree / "workspace/old").mkdir(parents=True)
    (tree / "workspace/old/big").write_bytes(b"x" * 4096)
    (tree.parent / "outside").write_text("secret")
    (tree / "workspace/link").symlink_to(tree.parent / "outside")

    def run(command: str) -> str:
        answer = api.ok("PUT", f"/api/v0/instances/command/{number}/", {"command": command})
        return fetch(answer["result_url"])

    assert run("ls /workspace") == "link\nold\n"
    assert run("du /workspace/old") == "4\t/workspace/old\n"
    assert "Is a directory" in run("rm /workspace/old")
    assert run("rm -rf /workspace/old") == ""
    assert run("ls -l /workspace") == "link\n"
    for command in ("ls ../outside", "rm -rf /../outside", "rm /workspace/link"):
        assert "Permission denied" in run(command)
    assert (tree.parent / "outside").read_text() == "secret"
    status, answer = api.call("PUT", f"/api/v0/instances/command/{number}/", {"command": "cat /etc/passwd"})
    assert (status, answer["error"]) == (403, "blacklisted")
    assert api.call("PUT", f"/api/v0/instances/command/{number}/", {"command": "ls " + "x" * 512})[0] == 400
    assert api.call("PUT", f"/api/v0/instances/command/{number}/", [])[0] == 483
