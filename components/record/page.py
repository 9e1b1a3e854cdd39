"""A run's record as one page: no scripts, nothing from elsewhere, every text escaped. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from components.record.axis import smooth
from components.record.curve import figure
from components.record.gallery import gallery
from components.record.markup import Markup, join, tag
from components.record.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from components.record.model import Machine, Record
    from components.record.picture import Picture

_STYLE: Final = Markup(Path(__file__).with_suffix(".css").read_text(encoding="utf-8"))
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_FEW_EVENTS: Final = 12


def html(record: Record, pictures: Mapping[str, Picture]) -> str:
    """Return the page; `pictures` are the samples' images by their `file`."""
    sections = {
        "Loss": figure(record),
        "Samples": gallery(record.samples, pictures),
        "Checkpoints": _checkpoints(record),
        "Machines": _machines(record),
        "Launches": _parts(record),
        "Settings": settings(record.settings, record.derived),
        "Versions and hashes": _origin(record),
        "Events": _events(record),
    }
    body = join(
        _heading(record),
        *(tag("section", tag("h2", title), content) for title, content in sections.items() if content),
    )
    head = join(
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{record.job} · {record.status}"),
        tag("style", _STYLE),
    )
    return (
        "<!doctype html>\n" + tag("html", tag("head", head), tag("body", tag("main", body)), lang="en") + "\n"
    )


def _heading(record: Record) -> Markup:
    until = _moment(record.ended) if record.ended else ""
    began = _moment(record.started)
    if until:
        began += f" \N{EN DASH} {until[11:] if until[:10] == began[:10] else until}"
    last = record.events[-1].text if record.events and record.status in {"failed", "preempted"} else ""
    return tag(
        "header",
        tag(
            "p",
            "fragua · ",
            {"full": "full fine-tune", "lora": "LoRA"}[record.kind],
            " · SDXL",
            class_="kind",
        ),
        tag("h1", record.job, " ", tag("span", record.status, class_=f"status {record.status}")),
        tag("p", tag("code", record.run), f" · {began} UTC", class_="when"),
        *([tag("p", last, class_="last")] if last else []),
        tag("dl", *_facts(record), class_="facts"),
    )


def _facts(record: Record) -> Iterable[Markup]:
    cost = record.cost
    predicted = "" if cost.predicted is None else f"of ${cost.predicted:,.2f} predicted"
    yield _fact("Cost", f"${cost.spent:,.2f}", predicted)
    if record.ended:
        yield _fact("Time", _duration(record.ended - record.started), "")
    steps = max((part.last_step for part in record.parts), default=0)
    epochs = max((part.last_epoch for part in record.parts), default=0)
    yield _fact("Steps", f"{steps:,}", f"in {_count(epochs, 'epoch')}")
    if record.loss:
        step, loss = smooth([(point.step, point.loss) for point in record.loss])[-1]
        yield _fact("Loss", "nan" if loss is None else f"{loss:.4f}", f"smoothed, step {step:,}")
    size = sum(checkpoint.size for checkpoint in record.checkpoints)
    yield _fact("Checkpoints", str(len(record.checkpoints)), _bytes(size) if size else "")
    yield _fact("Machines", str(len(record.machines)), ", ".join(dict.fromkeys(map(_gpus, record.machines))))


def _fact(name: str, value: str, aside: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value, tag("small", aside)))


def _checkpoints(record: Record) -> Markup:
    return _table(
        {
            "File": [tag("a", each.file, href=f"./{quote(each.file)}") for each in record.checkpoints],
            "Epoch": [f"{each.epoch:,}" for each in record.checkpoints],
            "Size": [_bytes(each.size) for each in record.checkpoints],
            "SHA-256": [tag("code", each.sha256) for each in record.checkpoints],
            "Metadata": [_checked(each.wrong) for each in record.checkpoints],
        }
    )


def _checked(wrong: Sequence[str] | None) -> str:
    return "" if wrong is None else tag("span", "; ".join(wrong), class_="wrong") if wrong else "as planned"


def _machines(record: Record) -> Markup:
    machines = record.machines
    return _table(
        {
            "Instance": [str(each.instance) for each in machines],
            "GPU": [_gpus(each) for each in machines],
            "Host": [each.country or "unknown" for each in machines],
            "$/h": [f"{each.price:.3f}" for each in machines],
            "Rented": [_moment(each.rented) for each in machines],
            "Released": [_moment(each.released) if each.released else "still rented" for each in machines],
            "For": [_duration(each.released - each.rented) if each.released else "" for each in machines],
            "Ended because": [each.why for each in machines],
        }
    )


def _parts(record: Record) -> Markup:
    parts = record.parts
    return _table(
        {
            "Launch": [str(index) for index, _ in enumerate(parts, 1)],
            "Instance": [str(each.instance) for each in parts],
            "Epochs": [_span(each.first_epoch, each.last_epoch) for each in parts],
            "Steps": [_span(each.first_step, each.last_step) for each in parts],
            "Went on from": [each.resumed_from or "the beginning" for each in parts],
        }
    )


def _origin(record: Record) -> Markup:
    versions, hashes = record.versions, record.hashes
    known = {
        "fragua": versions.fragua,
        "sd-scripts": versions.sd_scripts,
        "torch": versions.torch,
        "python": versions.python,
        "dataset": hashes.dataset,
        "base model": hashes.base_model,
        "job": hashes.job,
    }
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in known.items() if value)
    return tag("dl", *pairs, class_="pairs")


def _events(record: Record) -> Markup:
    if not record.events:
        return Markup()
    lines = (
        tag("li", tag("time", _moment(each.time), datetime=each.time.isoformat()), tag("span", each.text))
        for each in record.events
    )
    return tag(
        "details",
        tag("summary", _count(len(record.events), "event")),
        tag("ol", *lines, class_="events"),
        open="" if len(record.events) <= _FEW_EVENTS else None,
    )


def _table(columns: Mapping[str, list[str]]) -> Markup:
    """Return a table without the columns that are empty throughout; nothing if it has no rows."""
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    if not shown:
        return Markup()
    head = tag("tr", *(tag("th", name) for name in shown))
    rows = (
        tag("tr", *(tag("td", cell, data_label=name) for name, cell in zip(shown, row, strict=True)))
        for row in zip(*shown.values(), strict=True)
    )
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="rows")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _duration(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _bytes(size: int) -> str:
    value, unit = next(
        ((size / scale, unit) for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if size >= scale),
        (size, "bytes"),
    )
    return f"{value:.4g} {unit}"


def _gpus(machine: Machine) -> str:
    return machine.gpu if machine.gpus == 1 else f"{machine.gpus} \N{MULTIPLICATION SIGN} {machine.gpu}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _span(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,} \N{EN DASH} {last:,}"
