"""The page, in a real Chromium, against a real gateway and a stand-in ComfyUI."""

import re
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from gateway_server import TOKENS, Gateway, gateway
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 360, "height": 740}
HTML = "<img src=/nothing onerror=\"document.title='owned'\"> & <b>bold</b>"

SHRINK = {
    "name": "shrink",
    "description": "Make it small.",
    "graph": {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {
            "class_type": "ImageScaleBy",
            "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "scale_by": 0.5},
        },
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["2", 0]}},
    },
    "inputs": {
        "image": {"node": "1", "input": "image"},
        "by": {"node": "2", "input": "scale_by", "maximum": 1, "description": "a share of the sides"},
        "method": {"node": "2", "input": "upscale_method"},
    },
}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium in PATH: apt-get install chromium"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open the page of a gateway as a new visitor; at the end, no script may have failed or been blocked."""
    contexts, failures = [], []

    def opened(
        gateway: Gateway, size: dict[str, int] = DESKTOP, token: str | None = TOKENS["artist"]
    ) -> Page:
        context = chromium.new_context(viewport=size)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda said: "Content Security" in said.text and failures.append(said.text))
        page.goto(gateway.url)
        if token:
            enter(page, token)
            expect(page.locator("#field-prompt")).to_be_visible()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not failures


def enter(page: Page, token: str) -> None:
    page.locator("#token").fill(token)
    page.keyboard.press("Enter")


def describe(page: Page, prompt: str, *, steps: int, width: int = 256) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Size").select_option("free")
    page.get_by_label("Width").fill(str(width))
    page.get_by_label("Height").fill("256")
    page.get_by_label("Steps").fill(str(steps))


def generate(page: Page, prompt: str = "a fox", **what: int) -> None:
    """Generate an image to its end."""
    describe(page, prompt, **{"steps": 2, **what})
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#status")).to_contain_text("Done in", timeout=60_000)


def shown(page: Page) -> str:
    """Return the size of the image that is shown, once it is."""
    picture = page.locator("#picture")
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    expect(picture).not_to_have_js_property("naturalWidth", 0)
    size: str = picture.evaluate("(image) => `${image.naturalWidth}x${image.naturalHeight}`")
    return size


def png(width: int, height: int) -> bytes:
    data = BytesIO()
    Image.new("RGB", (width, height), "teal").save(data, "PNG")
    return data.getvalue()


def newest(gateway: Gateway) -> dict:
    return gateway.client.get("/jobs").json()["jobs"][0]


@pytest.fixture
def unused(slow_comfy, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that has made nothing, before a slow ComfyUI."""
    with gateway(tmp_path, slow_comfy.url) as found:
        yield found


def test_progress_and_previews_show_and_then_the_image_and_what_it_cost(unused: Gateway, visit) -> None:
    page = visit(unused)
    describe(page, "a fox in snow", steps=40)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#step")).to_have_text(re.compile(r"^\d+ of 40$"))
    expect(page.locator("#status")).to_have_text("Drawing")
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#picture")).to_have_attribute("src", re.compile("^data:image/(jpeg|png);base64,"))
    expect(page.locator("#status")).to_contain_text("Done in", timeout=10_000)
    assert shown(page) == "256x256"
    expect(page.get_by_role("progressbar")).to_be_hidden()
    expect(page.get_by_role("img", name="a fox in snow")).to_be_visible()
    expect(page.locator("#gallery img")).to_have_count(1)
    expect(page.locator("#account")).to_have_text(re.compile(r"^\$0\.0+[1-9]\d* so far, \$0\.36/h$"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert Image.open(download.value.path()).size == (256, 256)


def test_what_is_not_filled_in_is_left_as_the_workflow_has_it(shared: Gateway, visit) -> None:
    page = visit(shared)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        generate(page)
    assert sent.value.post_data_json == {
        "workflow": "text-to-image",
        "prompt": "a fox",
        "negative_prompt": "",
        "width": 256,
        "height": 256,
        "steps": 2,
        "cfg": 7,
        "sampler": "euler",
        "scheduler": "normal",
        "batch": 1,
        "loras": {"papercut": 0.8},
    }


def test_a_wrong_size_shows_the_gateways_words_at_the_field(shared: Gateway, visit) -> None:
    page = visit(shared)
    describe(page, "a fox", steps=2, width=1000)
    page.get_by_role("button", name="Generate").click()
    width = page.get_by_label("Width")
    problem = shared.post(width=1000).json()["error"]["problems"][0]
    assert problem["field"] == "width"
    expect(width).to_have_accessible_description(problem["message"])
    expect(width).to_have_attribute("aria-invalid", "true")
    expect(width).to_be_focused()
    page.get_by_label("Width").fill("512")
    expect(page.get_by_text(problem["message"])).to_be_hidden()


def test_a_problem_of_no_field_shows_above_the_button(shared: Gateway, visit) -> None:
    page = visit(shared)
    describe(page, "a fox", steps=2, width=2048)
    page.get_by_label("Height").fill("2048")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#problem")).to_contain_text("2048x2048 is 4,194,304 pixels, over the limit")


def test_a_wrong_token_is_asked_for_again_and_kept_in_no_url(shared: Gateway, visit) -> None:
    page = visit(shared, token="")
    enter(page, "not-the-token")
    expect(page.locator("#ask-why")).not_to_be_empty()
    assert page.evaluate("sessionStorage.length") == 0
    enter(page, TOKENS["artist"])
    expect(page.get_by_label("Prompt", exact=True)).to_be_visible()
    assert page.url == f"{shared.url}/"
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_be_visible()
    page.get_by_role("button", name="Forget token").click()
    expect(page.locator("#token")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0


def test_nothing_is_wider_than_a_phone(shared: Gateway, visit) -> None:
    page = visit(shared, PHONE)

    def fits() -> bool:
        return page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    assert fits()
    generate(page, "unbreakable" * 40)
    shown(page)
    assert fits()
    describe(page, "a fox", steps=2, width=1000)
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_label("Width")).to_be_focused()
    page.get_by_label("Workflow").select_option("image to image")
    assert fits()


def test_html_in_a_prompt_is_text(shared: Gateway, visit) -> None:
    page = visit(shared)
    generate(page, HTML)
    assert shown(page) == "256x256"
    expect(page.locator("#prompt-said")).to_have_text(HTML)
    assert page.locator("b, img[onerror]").count() == 0
    assert page.title() == "fragua"


def test_cancel_ends_the_job(slow: Gateway, visit) -> None:
    page = visit(slow)
    describe(page, "a very slow fox", steps=150)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#step")).to_have_text(re.compile("of 150"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    assert newest(slow)["state"] == "cancelled"


def test_an_image_is_uploaded_and_started_from(shared: Gateway, visit) -> None:
    page = visit(shared)
    page.get_by_label("Workflow").select_option("image to image")
    describe(page, "a fox", steps=2)
    chooser = page.get_by_label("Image", exact=True)
    chooser.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no image"})
    expect(chooser).to_have_accessible_description(re.compile("."))
    chooser.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": png(320, 192)})
    expect(page.get_by_text(re.compile("320 . 192"))).to_be_visible()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#status")).to_contain_text("Done in", timeout=10_000)
    assert newest(shared)["workflow"] == "image-to-image"
    assert shown(page) == "256x256"


def test_an_image_made_before_gives_back_its_seed_its_settings_and_itself(shared: Gateway, visit) -> None:
    job = shared.submit(seed=4711, steps=3, loras={"papercut": -0.33}, prompt="made before")
    shared.until(job["id"], "done")
    page = visit(shared)
    page.locator("#gallery").get_by_role("button", name="made before").first.click()
    page.get_by_role("button", name="Use seed").click()
    expect(page.get_by_label("Seed")).to_have_value("4711")
    page.get_by_role("button", name="Use settings").click()
    expect(page.get_by_label("Steps")).to_have_value("3")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#gallery").get_by_role("button", name="made before")).to_have_count(2)
    again = newest(shared)
    assert again["id"] != job["id"]
    assert again["parameters"] == job["parameters"]
    expect(page.locator("#status")).to_contain_text("Done in", timeout=10_000)
    page.get_by_role("button", name="Start from this").click()
    expect(page.get_by_label("Workflow")).to_have_value("image-to-image")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#gallery").get_by_role("button", name="made before")).to_have_count(3)
    first = shared.client.get(f"/jobs/{again['id']}").json()["images"][0]
    assert first["url"] == f"/images/{newest(shared)['parameters']['image']}"


def test_a_workflow_of_a_persons_own_has_its_form_too(comfy, tmp_path, visit) -> None:
    with gateway(tmp_path, comfy.url, catalogue={"custom": [SHRINK]}) as own:
        page = visit(own)
        page.get_by_label("Workflow").select_option("shrink")
        expect(page.get_by_text("Make it small.")).to_be_visible()
        page.get_by_label("Image", exact=True).set_input_files(
            {"name": "a.png", "mimeType": "image/png", "buffer": png(320, 192)}
        )
        expect(page.get_by_text(re.compile("320 . 192"))).to_be_visible()
        page.get_by_label("By").fill("0.25")
        page.get_by_text("More").click()
        page.get_by_label("Method").select_option("bicubic")
        page.get_by_role("button", name="Generate").click()
        expect(page.locator("#status")).to_contain_text("Done in", timeout=10_000)
        assert shown(page) == "80x48"
        parameters = newest(own)["parameters"]
        assert (parameters["by"], parameters["method"]) == (0.25, "bicubic")


def test_every_control_has_a_name(shared: Gateway, visit) -> None:
    page = visit(shared)
    for workflow in page.get_by_label("Workflow").locator("option").all_text_contents():
        page.get_by_label("Workflow").select_option(workflow)
        controls = page.locator("#form :is(input, select, textarea)")
        assert controls.evaluate_all("(all) => all.filter((each) => !each.labels.length).length") == 0


def test_the_page_of_the_api_makes_an_image_and_asks_nobody_but_the_gateway(shared: Gateway, visit) -> None:
    page, asked = visit(shared, token=""), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{shared.url}/docs")
    page.get_by_role("button", name="Authorize").click()
    page.locator(".auth-container input").fill(TOKENS["artist"])
    page.locator(".auth-container .authorize").click()
    page.get_by_role("button", name="Close").click()
    generate = page.locator("#operations-default-generate_generate_post")
    generate.locator(".opblock-summary").click()
    generate.get_by_role("button", name="Try it out").click()
    generate.get_by_label("Media Type").first.select_option("image/png")
    generate.locator("textarea.body-param__text").fill(
        '{"prompt": "a fox", "width": 256, "height": 256, "steps": 2}'
    )
    generate.get_by_role("button", name="Execute").click()

    picture = generate.locator(".response img")
    expect(picture).to_have_js_property("naturalWidth", 256)
    here = (f"{shared.url}/", f"blob:{shared.url}/", "data:image/")
    assert f"{shared.url}/generate" in asked
    assert [url for url in asked if not url.startswith(here)] == []
