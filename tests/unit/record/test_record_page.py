"""The page: whatever the texts are, they are texts; nothing comes from elsewhere; everything is on it."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st
from records import TEXTS, image, record_of

from components.record.model import Cost, Hashes, LossPoint, Record, Sample
from components.record.page import html
from components.record.picture import shrink

BREAKS = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onload='", "</style><b>", "-->")
BREAKS += (
    "<!--",
    "</title>",
    "</main></body>",
    "&lt;",
    "&#60;b>",
    "]]>",
    "</svg>",
    "\0<",
    "\u202e",
    "`",
    "\ud800",
)
HOSTILE = st.text(min_size=1) | st.lists(st.sampled_from(BREAKS), min_size=1).map("".join)
HOSTILE = HOSTILE.map(lambda text: "".join(c for c in text if not "\ud800" <= c <= "\udfff") or "x")
PICTURES = {"sample/1.png": picture} if (picture := shrink(image())) else {}


class Page(HTMLParser):
    """What a page is made of: its elements with the names of their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs if name != "class")))
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements.append((f"comment {data}", ()))


PLAIN = Page(html(record_of(), PICTURES))


@given(st.lists(HOSTILE, min_size=TEXTS, max_size=TEXTS, unique=True))
@example([f"{index}{''.join(BREAKS[:-1])}" for index in range(TEXTS)])
def test_no_text_breaks_out_of_its_place(texts: list[str]) -> None:
    page = Page(html(record_of(texts.__getitem__), PICTURES))
    assert page.elements == PLAIN.elements


def test_every_text_is_on_the_page_as_it_is() -> None:
    page = html(record_of('<{}> & "it\'s"'.format), PICTURES)
    shown = " ".join(Page(page).texts)
    missing = [index for index in range(TEXTS) if f'<{index}> & "it\'s"' not in shown]
    assert missing == [18], "only the metadata of checkpoints are left to run.json"


def test_nothing_on_it_comes_from_elsewhere_and_links_lead_to_files_beside_it() -> None:
    record = record_of(samples=(Sample(file="javascript:a/.. \"'#?b.png", prompt="p", epoch=1),))
    for page in (PLAIN, Page(html(record, {}))):
        assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "form", "base"}
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        addresses = [value for name, value in page.attributes if name in {"href", "src"}]
        assert addresses
        assert all(value.startswith(("./", "data:image/webp;base64,")) for value in addresses)
        styles = [text for text in page.texts if "{" in text and "color-scheme" in text]
        assert len(styles) == 1
        assert "url(" not in styles[0]
        assert "@import" not in styles[0]


def test_its_elements_close_in_the_order_they_opened() -> None:
    open_: list[str] = []
    for name, _ in PLAIN.elements:
        if name.startswith("/"):
            assert open_.pop() == name[1:]
        elif name not in {"meta", "img"}:
            open_.append(name)
    assert open_ == []


def test_the_derived_settings_are_marked_and_no_others() -> None:
    notes = ("training: batch_size 2, optimizer AdamW8bit: 17 of 24 GB", "training.epochs 3: enough images")
    notes += ("node.gpu: may not fit: vram 24, seed 7",)
    values = {"batch_size": 2, "optimizer": "AdamW8bit", "epochs": 3, "seed": 7, "size": 2}
    settings = {"training": values, "node": {"gpu": {"vram": 24, "seed": 1}}, "epochs": 3, "batch_size": 2}
    page = html(record_of(settings=settings, derived=notes), {})
    marked = [part.split("<")[0] for part in page.split('<dd class="chosen">')[1:]]
    assert marked == ["2", "AdamW8bit", "3"]


def test_a_checkpoint_says_whether_its_metadata_are_as_planned() -> None:
    (checkpoint,) = record_of().checkpoints
    for wrong, shown in ((None, False), ((), True), (("ss_epoch is 2, expected 3",), False)):
        page = html(record_of(checkpoints=(checkpoint.model_copy(update={"wrong": wrong}),)), {})
        assert ("as planned" in page) == shown
        assert ('<span class="wrong">ss_epoch is 2, expected 3</span>' in page) == bool(wrong)


def test_a_run_that_has_only_begun_has_a_page() -> None:
    record = Record(
        run="r",
        job="fox",
        kind="full",
        status="running",
        started=record_of().started,
        settings={},
        cost=Cost(spent=0),
        hashes=Hashes(dataset="d", base_model="b", job="j"),
    )
    shown = "".join(Page(html(record, {})).texts)
    for words in ("fragua · full fine-tune", "running", "$0.00", "No loss was measured."):
        assert words in shown


def test_a_loss_of_nan_is_said_and_drawn() -> None:
    points = [
        LossPoint(step=1, loss=0.1),
        LossPoint(step=2, loss=float("nan")),
        LossPoint(step=3, loss=float("inf")),
    ]
    page = html(record_of(loss=tuple(points)), {})
    assert {"nan", "nan from here"} <= set(Page(page).texts)
    assert page.count('<path d="M500.0 0V1000" class="nan">') == 1
