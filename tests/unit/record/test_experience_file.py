"""What was learned is there again in the next run, for each market; a damaged file says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.cost.experience import Experience, Speed
from components.errors import FraguaError
from components.record.experience import read_experience, write_experience

OWN = Experience(speeds={"RTX 4090/lora": Speed(seconds=0.5, runs=3)}, bid_hours=12.5, outbid=2)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FRAGUA_HOME", str(tmp_path / "memory"))
    return tmp_path / "memory"


def test_at_first_nothing_is_known() -> None:
    assert read_experience("https://console.vast.ai") == Experience()


def test_each_market_keeps_its_own() -> None:
    write_experience("https://console.vast.ai", OWN)
    write_experience("http://127.0.0.1:8000", Experience(outbid=9))

    assert read_experience("https://console.vast.ai") == OWN
    assert read_experience("http://127.0.0.1:8000").outbid == 9


@pytest.mark.parametrize("text", ["", "{", "[]", '{"markets": {"x": {"outbid": -1}}}', '{"more": 1}'])
def test_a_damaged_file_names_itself_and_the_remedy(home: Path, text: str) -> None:
    home.mkdir()
    (home / "experience.json").write_text(text)

    with pytest.raises(FraguaError, match=r"experience\.json: damaged: .*fragua calibrate"):
        read_experience("x")
    with pytest.raises(FraguaError, match="damaged"):
        write_experience("x", OWN)
    assert (home / "experience.json").read_text() == text


def test_a_folder_in_its_place_is_said(home: Path) -> None:
    (home / "experience.json").mkdir(parents=True)

    with pytest.raises(FraguaError, match=r"experience\.json: cannot be read: Is a directory"):
        read_experience("x")
