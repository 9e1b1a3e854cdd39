"""The stand-in ComfyUI's files: images in and out, models, and the flags that move them."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfy_prompts import IMAGE, TEXT, Comfy, changed
from comfy_server import ComfyUI, comfyui, free_port, tiny_model
from PIL import Image


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUI]:
    with comfyui(tmp_path_factory.mktemp("comfyui"), "--max-upload-size", "0.1") as found:
        yield found


@pytest.fixture(scope="module")
def comfy(server: ComfyUI) -> Comfy:
    comfy = Comfy(server.url)
    comfy.run(IMAGE, extra_data={"extra_pnginfo": {"workflow": {"a": 1}}})
    return comfy


def png(color: str = "red") -> bytes:
    made = io.BytesIO()
    Image.new("RGBA", (8, 8), color).save(made, "PNG")
    return made.getvalue()


FILE = "probe_00001_.png"


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ("", 404, None), ("filename=", 400, None), ("filename=../../main.py", 400, None),
        ("filename=/etc/passwd", 400, None), ("filename=..%2f..%2fetc%2fpasswd", 400, None),
        ("filename=nope.png", 404, None), (f"filename={FILE}&type=zzz", 400, None),
        (f"filename={FILE}&subfolder=..", 403, None), (f"filename={FILE}&subfolder=/etc", 403, None),
        (f"filename={FILE}&subfolder=nope", 404, None), (f"filename={FILE}&type=input", 404, None),
        (f"filename={FILE}", 200, "image/png"), (f"filename=sub/{FILE}", 200, "image/png"),
        (f"filename={FILE}%20[output]&type=input", 200, "image/png"),
        (f"filename={FILE}&preview=webp;50", 200, "image/webp"), (f"filename={FILE}&preview=png", 200, "image/webp"),
        (f"filename={FILE}&preview=jpeg;50", 200, "image/jpeg"), (f"filename={FILE}&channel=rgb", 200, "image/png"),
        (f"filename={FILE}&channel=a", 200, "image/png"),
    ],
)  # fmt: skip
def test_an_image_is_viewed_and_nothing_outside(
    comfy: Comfy, query: str, status: int, kind: str | None
) -> None:
    answer = comfy.http.get(f"/view?{query}")
    assert (answer.status_code, answer.headers.get("content-type")) == (status, kind)
    if status == 200:
        assert answer.headers["content-disposition"] == f'filename="{FILE}"'


def test_a_part_of_an_image_can_be_had(comfy: Comfy) -> None:
    answer = comfy.http.get(f"/view?filename={FILE}", headers={"Range": "bytes=1-3"})
    assert (answer.status_code, answer.content) == (206, b"PNG")


def test_the_graph_is_in_the_picture_unless_that_is_turned_off(comfy: Comfy, tmp_path: Path) -> None:
    def text(bytes_: bytes) -> dict[str, str]:
        return Image.open(io.BytesIO(bytes_)).text

    found = text(comfy.http.get(f"/view?filename={FILE}").content)
    assert {key: json.loads(value) for key, value in found.items()} == {"prompt": IMAGE, "workflow": {"a": 1}}
    assert text(comfy.http.get(f"/view?filename={FILE}&channel=rgb").content) == {}
    with comfyui(tmp_path, "--disable-metadata") as server:
        other = Comfy(server.url)
        assert text(other.image(other.run(IMAGE), "2")) == {}


def test_uploads_keep_a_name_for_the_same_content_only(comfy: Comfy) -> None:
    def upload(content: bytes, name: str = "up.png", **fields: str) -> tuple[int, object]:
        answer = comfy.http.post("/upload/image", files={"image": (name, content)}, data=fields)
        return answer.status_code, answer.json() if answer.status_code == 200 else answer.text

    def stored(name: str, subfolder: str = "", type_: str = "input") -> tuple[int, object]:
        return 200, {"name": name, "subfolder": subfolder, "type": type_}

    assert upload(png()) == upload(png()) == stored("up.png")
    assert upload(png("blue")) == stored("up (1).png")
    assert upload(png("green"), overwrite="true") == stored("up.png")
    assert upload(png(), subfolder="a/b") == stored("up.png", "a/b")
    assert upload(png(), type="output") == stored("up.png", "", "output")
    assert upload(png(), subfolder="../..")[0] == 400
    assert upload(png(), type="bad")[0] == upload(png(), name="")[0] == 500
    assert comfy.http.post("/upload/image", files={"other": ("x", b"")}).status_code == 400
    assert upload(bytes(200_000)) == (413, "Maximum request body size 104858 exceeded.")
    assert comfy.post(IMAGE, filler="x" * 200_000).status_code == 413, "the limit counts for every body"
    viewed = comfy.http.get("/view", params={"filename": "up.png", "type": "input", "subfolder": "a/b"})
    assert viewed.content == png()


def test_a_model_uploaded_as_an_output_can_be_used_at_once(comfy: Comfy) -> None:
    sent = {"image": ("new.safetensors", tiny_model("loras/new.safetensors"))}
    comfy.http.post("/upload/image", files=sent, data={"type": "output", "subfolder": "loras"})
    assert comfy.http.get("/models/loras").json() == [
        "ink.safetensors",
        "new.safetensors",
        "papercut.safetensors",
    ]
    record = comfy.http.get("/object_info/LoraLoader").json()["LoraLoader"]
    assert "new.safetensors" in record["input"]["required"]["lora_name"][0]
    found = comfy.http.get("/view_metadata/loras", params={"filename": "new.safetensors"})
    assert found.json() == {"ss_output_name": "new"}
    assert comfy.http.get("/view_metadata/loras", params={"filename": "x.safetensors"}).status_code == 404


def test_every_route_is_there_as_recorded(comfy: Comfy) -> None:
    for path in ("/prompt", "/queue", "/history", "/features", "/models/checkpoints", "/embeddings", "/extensions",
                 "/system_stats", "/object_info", "/api/prompt", "/api/system_stats", "/users", "/internal/logs",
                 "/internal/folder_paths", "/internal/files/output", "/experiment/models", "/i18n"):  # fmt: skip
        answer = comfy.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            "application/json; charset=utf-8",
        ), path
    for path in ("/health", "/ready", "/metrics", "/nope", "/api/jobs"):
        answer = comfy.http.get(path)
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (
            404, "application/octet-stream", b"",
        )  # fmt: skip
    assert comfy.http.get("/models/clip").status_code == 404
    assert comfy.http.get("/object_info/Nope").json() == {}
    assert comfy.http.options("/whatever").status_code == 200
    assert comfy.http.head("/prompt").status_code == 200
    assert len(comfy.http.get("/object_info").json()) == 383


def test_a_page_of_another_origin_is_kept_out_unless_that_is_allowed(comfy: Comfy, tmp_path: Path) -> None:
    foreign = {"Origin": "http://evil.example"}
    assert comfy.http.get("/prompt", headers=foreign).status_code == 403
    assert comfy.http.get("/prompt", headers={"Origin": comfy.url}).status_code == 200
    assert comfy.http.get("/prompt", headers={**foreign, "Host": "comfy.example"}).status_code == 200
    with comfyui(tmp_path, "--enable-cors-header") as server:
        answer = Comfy(server.url).http.get("/prompt", headers=foreign)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


def test_folders_can_lie_elsewhere(tmp_path: Path) -> None:
    shared = tmp_path / "shared/sdxl"
    shared.mkdir(parents=True)
    (shared / "far.safetensors").write_bytes(tiny_model("checkpoints/far.safetensors"))
    (tmp_path / "paths.yaml").write_text("ours:\n  base_path: shared\n  checkpoints: sdxl/\n")
    flags = [
        "--extra-model-paths-config",
        str(tmp_path / "paths.yaml"),
        "--output-directory",
        str(tmp_path / "out"),
    ]
    with comfyui(tmp_path / "comfyui", *flags) as server:
        comfy = Comfy(server.url)
        comfy.run(changed(TEXT, n1_ckpt_name="far.safetensors", n7_filename_prefix="sub/dir/x_%width%"))
        assert (tmp_path / "out/sub/dir/x_128_00001_.png").is_file()


def test_the_command_line_and_the_port_are_checked(server: ComfyUI) -> None:
    def refused(*flags: str) -> str:
        done = subprocess.run(
            [*server.command, *flags],
            env=server.environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode
        return done.stderr

    assert "unrecognized arguments: --headless" in refused("--headless")
    assert "argument --lowvram: not allowed with argument --highvram" in refused("--highvram", "--lowvram")
    assert (
        f"error while attempting to bind on address ('127.0.0.1', {server.port}): address already in use"
        in (refused())
    )
    assert f"To see the GUI go to: http://127.0.0.1:{server.port}" in server.log()
    assert free_port() != server.port
