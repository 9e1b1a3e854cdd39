"""The sample images: a row for each epoch or step, a column for each prompt. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from components.record.markup import Markup, join, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.record.model import Sample
    from components.record.picture import Picture


def gallery(samples: Sequence[Sample], pictures: Mapping[str, Picture]) -> Markup:
    """Return the grid; nothing where there are no samples. `pictures` are the images by their `file`."""
    if not samples:
        return Markup()
    prompts = list(dict.fromkeys(sample.prompt for sample in samples))
    cells: dict[tuple[int, int], dict[str, list[Markup]]] = {}
    for sample in sorted(samples, key=_time):
        row = cells.setdefault(_time(sample), {})
        row.setdefault(sample.prompt, []).append(_image(sample, pictures.get(sample.file)))
    if len(prompts) == 1:
        return join(tag("p", prompts[0], class_="prompt"), _strip(prompts[0], cells))
    head = tag(
        "tr", tag("th", ""), *(tag("th", tag("div", text, title=text), scope="col") for text in prompts)
    )
    rows = (
        tag("tr", tag("th", _named(time), scope="row"), *(tag("td", *row.get(text, ())) for text in prompts))
        for time, row in cells.items()
    )
    return tag(
        "div", tag("table", tag("thead", head), tag("tbody", *rows), class_="samples"), class_="scroll"
    )


def _strip(prompt: str, cells: Mapping[tuple[int, int], Mapping[str, Sequence[Markup]]]) -> Markup:
    """Return one after another what a grid of a single column would waste a page on."""
    figures = (
        tag("figure", image, tag("figcaption", _named(time)))
        for time, row in cells.items()
        for image in row[prompt]
    )
    return tag("div", *figures, class_="strip")


def _image(sample: Sample, picture: Picture | None) -> Markup:
    if picture is None:
        return tag("span", f"{sample.file} is not here, or is no image", class_="missing")
    image = tag(
        "img",
        src=picture.uri,
        width=picture.width,
        height=picture.height,
        alt=f"{_named(_time(sample))}: {sample.prompt}",
        loading="lazy",
    )
    return tag("a", image, href=f"./{quote(sample.file)}")


def _time(sample: Sample) -> tuple[int, int]:
    """Return when a sample was drawn, in order: whether by epoch, and at which epoch or step."""
    return (0, sample.step or 0) if sample.epoch is None else (1, sample.epoch)


def _named(time: tuple[int, int]) -> str:
    by_epoch, number = time
    return f"{'Epoch' if by_epoch else 'Step'} {number:,}" if number else "Start"
