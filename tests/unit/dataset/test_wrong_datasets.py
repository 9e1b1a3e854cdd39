"""What is said of wrong datasets: exactly what is wrong, where, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_files import make, messages, photo, report
from wrong_files import CAPTIONED, CAPTIONS, FOLDERS, NAMES, Wrong
from wrong_pixels import PIXELS

from components.errors import SpecError

ALL = {**FOLDERS, **NAMES, **CAPTIONS, **PIXELS}


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_a_wrong_dataset_is_told_exactly_what_is_wrong(tmp_path: Path, case: Wrong) -> None:
    folder = make(tmp_path / "data", case.files)

    assert messages(report(folder), folder) == list(case.says)


def test_nothing_is_said_of_a_good_dataset(tmp_path: Path) -> None:
    assert report(make(tmp_path / "data", CAPTIONED)).problems == ()


def test_errors_refuse_and_warnings_do_not(tmp_path: Path) -> None:
    folder = make(tmp_path / "data", CAPTIONED | {"b.gif": b"?"})
    report(folder).refuse()
    make(folder, {"c.jpg": photo(3)})

    with pytest.raises(SpecError) as caught:
        report(folder).refuse()
    assert str(caught.value) == (
        f"dataset: {folder}/c.jpg: has no caption c.txt; "
        "write one, or give class tokens for all images without"
    )


def test_a_refusal_tells_five_of_a_kind_and_counts_the_rest(tmp_path: Path) -> None:
    files = {f"{number}.jpg": photo(number) for number in range(1, 8)}
    files["1.txt"] = b""

    with pytest.raises(SpecError) as caught:
        report(make(tmp_path / "data", files)).refuse()
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    assert lines[-2].endswith("1.txt: is empty; write a caption, or delete the file to use the class tokens")
    assert lines[-1] == "dataset: 1 more of missing-caption"
