"""What the gateway does for those who ask well."""

import base64
import re
from io import BytesIO

import pytest
from gateway_server import SMALL, Gateway, gateway, until
from PIL import Image

from comfy import workflows as comfy_workflows

ID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def picture(data: bytes) -> Image.Image:
    opened = Image.open(BytesIO(data))
    opened.load()
    return opened


def test_generate_answers_with_a_png_its_job_its_seed_and_its_cost(shared: Gateway) -> None:
    answer = shared.post(width=320, height=256)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert picture(answer.content).size == (320, 256)
    assert re.fullmatch(f"node-{ID}", answer.headers["x-job"])
    assert 0 <= int(answer.headers["x-seed"]) < 2**53
    assert float(answer.headers["x-cost"]) >= 0
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "form"), [("image/jpeg", "JPEG"), ("image/webp;q=0.9, text/html", "WEBP")]
)
def test_images_come_in_the_format_that_is_accepted(shared: Gateway, accept: str, form: str) -> None:
    answer = shared.post(headers={"Accept": accept})
    assert answer.headers["content-type"] == f"image/{form.lower()}"
    assert picture(answer.content).format == form


def test_json_tells_all_of_the_job_and_links_to_its_images(shared: Gateway) -> None:
    job = shared.post(headers={"Accept": "application/json"}, seed=7, batch=2).json()
    assert job["state"] == "done"
    assert job["workflow"] == "text-to-image"
    assert job["parameters"] == {
        "prompt": "a fox",
        "negative_prompt": "",
        **SMALL,
        "cfg": 7.0,
        "seed": 7,
        "sampler": "euler",
        "scheduler": "normal",
        "batch": 2,
        "loras": {"papercut": 0.8},
    }
    assert job["position"] is job["progress"] is job["error"] is None
    assert job["created"] <= job["started"] <= job["finished"]
    assert job["cost"] == pytest.approx(0.36 / 3600 * job["seconds"])
    assert [(image["width"], image["height"], image["seed"]) for image in job["images"]] == [
        (256, 256, 7)
    ] * 2
    for image in job["images"]:
        answer = shared.client.get(image["url"])
        assert answer.headers["content-type"] == "image/png"
        assert len(answer.content) == image["bytes"]
    saved = shared.client.get(f"{job['images'][0]['url']}?download=1", headers={"Accept": "image/jpeg"})
    name = job["images"][0]["url"].removeprefix("/images/")
    assert saved.headers["content-disposition"] == f'attachment; filename="{name}.jpeg"'


def test_the_same_seed_draws_the_same_image_and_none_draws_another(shared: Gateway) -> None:
    first, second = shared.post(seed=5), shared.post(seed=5)
    assert first.content == second.content
    assert first.headers["x-job"] != second.headers["x-job"]
    assert shared.post().headers["x-seed"] != shared.post().headers["x-seed"]


def test_an_image_holds_neither_the_workflow_nor_the_prompt(shared: Gateway) -> None:
    answer = shared.post(prompt="a secret fox")
    assert picture(answer.content).info == {}
    assert b"secret" not in answer.content


def test_what_was_fetched_is_removed_from_comfyui(shared: Gateway, comfy) -> None:
    before = set(comfy.folder.rglob("*.png"))
    data = shared.post().content
    upload = shared.client.post("/uploads", content=data, headers={"Content-Type": "image/png"}).json()
    assert shared.post(workflow="image-to-image", image=upload["image"]).status_code == 200
    until(lambda: set(comfy.folder.rglob("*.png")) <= before)


def test_a_job_is_accepted_at_once_and_followed_to_its_end(shared: Gateway) -> None:
    answer = shared.post("/jobs", steps=20)
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert (job["state"], job["position"]) == ("queued", 0)
    events = list(shared.events(job["id"]))
    kinds = [kind for kind, _ in events]
    assert kinds[0] in {"queued", "running"}
    assert kinds[-1] == "done"
    assert events[-1][1] == shared.client.get(f"/jobs/{job['id']}").json()
    assert shared.client.get("/jobs").json()["jobs"][0] == events[-1][1]
    assert [kind for kind, _ in shared.events(job["id"])] == ["done"]


def test_events_show_progress_and_previews(slow: Gateway) -> None:
    job = slow.submit(steps=6)
    events = list(slow.events(job["id"]))
    assert [kind for kind, _ in events if kind not in {"progress", "preview"}] == [
        "queued",
        "running",
        "done",
    ]
    progress = [data for kind, data in events if kind == "progress"]
    assert [each["value"] for each in progress] == sorted(each["value"] for each in progress)
    assert progress[-1]["max"] == 6
    preview = next(data for kind, data in events if kind == "preview")
    assert preview["mime"] == "image/jpeg"
    assert picture(base64.b64decode(preview["data"])).format == "JPEG"


def test_an_uploaded_image_is_changed_by_a_text(shared: Gateway) -> None:
    data = shared.post().content
    upload = shared.client.post("/uploads", content=data, headers={"Content-Type": "image/png"})
    assert upload.status_code == 201
    assert (upload.json()["width"], upload.json()["height"]) == (256, 256)
    changed = shared.post(workflow="image-to-image", image=upload.json()["image"], width=384)
    assert picture(changed.content).size == (384, 256)


def test_an_image_that_was_made_can_be_the_start_of_another(shared: Gateway) -> None:
    job = shared.post(headers={"Accept": "application/json"}).json()
    image = job["images"][0]["url"].removeprefix("/images/")
    assert shared.post(workflow="image-to-image", image=image).status_code == 200


def test_an_upload_loses_its_metadata_and_is_turned_as_it_says(shared: Gateway) -> None:
    out, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    exif[0x010E] = "at home"
    Image.new("RGB", (40, 20), "red").save(out, "JPEG", exif=exif)
    upload = shared.client.post(
        "/uploads", content=out.getvalue(), headers={"Content-Type": "image/jpeg"}
    ).json()
    assert (upload["width"], upload["height"]) == (20, 40)
    kept = shared.client.get(f"/images/{upload['image']}").content
    assert b"at home" not in kept
    assert picture(kept).info == {}


def test_each_token_sees_its_own_jobs_and_images_only(shared: Gateway) -> None:
    job = shared.post(headers={"Accept": "application/json"}).json()
    robot = shared.as_("robot")
    assert all(each["id"] != job["id"] for each in robot.get("/jobs").json()["jobs"])
    image = job["images"][0]["url"]
    for method, path in [("GET", f"/jobs/{job['id']}"), ("DELETE", f"/jobs/{job['id']}"), ("GET", image)]:
        answer = robot.request(method, path)
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == ("no-such-image" if path == image else "no-such-job")
    body = {"workflow": "image-to-image", "prompt": "a fox", "image": image.removeprefix("/images/")}
    assert robot.post("/jobs", json=body).status_code == 422


def test_workflows_come_with_the_schema_of_their_parameters(shared: Gateway) -> None:
    found = shared.client.get("/workflows").json()["workflows"]
    assert [each["name"] for each in found] == ["text-to-image", "image-to-image"]
    width = found[0]["schema"]["properties"]["width"]
    assert (width["minimum"], width["maximum"], width["multipleOf"]) == (256, 2048, 64)
    assert shared.client.get("/workflows/text-to-image").json() == found[0]


def test_a_workflow_of_a_persons_own_is_served_like_the_others(comfy, tmp_path) -> None:
    found = comfy_workflows.catalogue(comfy_workflows.Models(checkpoint="sd.safetensors"))["text-to-image"]
    graph = found.build(found.parameters.model_validate({"prompt": "x", "seed": 1, **SMALL}), "x")
    nodes = {entry["class_type"]: node for node, entry in graph.items()}
    inputs = {
        "prompt": {"node": graph[nodes["KSampler"]]["inputs"]["positive"][0], "input": "text"},
        "seed": {"node": nodes["KSampler"], "input": "seed"},
    }
    own = {"name": "portrait", "description": "A face.", "graph": graph, "inputs": inputs}
    with gateway(tmp_path, comfy.url, catalogue={"custom": [own]}) as one:
        assert one.client.get("/workflows/portrait").json()["description"] == "A face."
        answer = one.client.post("/generate", json={"workflow": "portrait", "prompt": "a face"})
        assert answer.status_code == 200
        assert picture(answer.content).size == (256, 256)
        assert 0 <= int(answer.headers["x-seed"]) < 2**53
        refused = one.client.post("/generate", json={"workflow": "portrait", "prompt": "a face", "steps": 9})
        assert refused.json()["error"]["field"] == "steps"


def test_a_workflow_that_wants_an_image_by_another_name_is_tried_before_it_is_served(comfy, tmp_path) -> None:
    found = comfy_workflows.catalogue(comfy_workflows.Models(checkpoint="sd.safetensors"))["image-to-image"]
    values = {"prompt": "x", "seed": 1, "image": "x.png", **SMALL}
    graph = found.build(found.parameters.model_validate(values), "x")
    [loader] = [node for node, entry in graph.items() if entry["class_type"] == "LoadImage"]
    own = {"name": "redraw", "graph": graph, "inputs": {"picture": {"node": loader, "input": "image"}}}
    with gateway(tmp_path, comfy.url, catalogue={"custom": [own]}) as one:
        image = one.post().content
        upload = one.client.post("/uploads", content=image, headers={"Content-Type": "image/png"}).json()
        body = {"workflow": "redraw", "picture": upload["image"]}

        assert upload["image"].startswith("node-")
        assert one.client.post("/generate", json=body).status_code == 200


def test_whoami_tells_the_price_and_the_limits(shared: Gateway) -> None:
    found = shared.client.get("/whoami").json()
    assert (found["token"], found["price"], found["enhance"]) == ("artist", 0.36, False)
    assert found["limits"]["multiple"] == 64


def test_metrics_count_jobs_and_requests(shared: Gateway) -> None:
    def value(line: str) -> float:
        text = shared.client.get("/metrics").text
        return next(float(each.split()[-1]) for each in text.splitlines() if each.startswith(line))

    jobs = 'gateway_jobs_total{state="done",workflow="text-to-image"}'
    requests = 'gateway_requests_total{method="POST",route="/generate",status="200"}'
    shared.post()
    before = value(jobs), value(requests)
    shared.post()
    assert (value(jobs), value(requests)) == (before[0] + 1, before[1] + 1)
    assert value("gateway_ready") == 1
    assert value("gateway_stored_bytes") > 0


def test_health_and_readiness_need_no_token(shared: Gateway) -> None:
    for path in ("/health", "/ready"):
        answer = shared.client.get(path, headers={"Authorization": ""})
        assert answer.json() == {"status": "ok", "waiting": 0, "running": 0}


def test_every_answer_keeps_browsers_on_a_short_lead(shared: Gateway) -> None:
    for path in ("/health", "/workflows", "/nothing", "/openapi.json", "/docs"):
        headers = shared.client.get(path).headers
        assert "script-src 'self'; style-src 'self'; " in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_a_prompt_is_written_out_by_openai_where_a_key_is_given(comfy, tmp_path, openai) -> None:
    settings = {"openai_api_key": "the-key", "openai_base_url": openai.url}
    with gateway(tmp_path, comfy.url, **settings) as one:
        assert one.client.get("/whoami").json()["enhance"] is True
        job = one.post(headers={"Accept": "application/json"}, enhance=True).json()
        assert job["parameters"]["prompt"] == "a red fox in snow, golden hour"
        assert openai.asked == [("Bearer the-key", "a fox")]
        one.post()
        assert len(openai.asked) == 1
        openai.status = 500
        answer = one.post(enhance=True)
        assert answer.status_code == 502
        assert answer.json()["error"] == {
            "type": "enhancement-failed",
            "message": "OpenAI did not write the prompt out (it answered 500): ask again without `enhance`",
        }
