"""The create call's `env` object and `/etc/environment`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rented_machine import SPEC

from simulator.machine.environment import (
    container_environment,
    format_environment,
    parse_environment,
    published,
)

names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


@given(st.dictionaries(names, values))
def test_what_is_written_to_etc_environment_is_read_back(variables: dict[str, str]) -> None:
    assert parse_environment(format_environment(variables)) == variables


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("A=1", {"A": "1"}),
        ("export A='1 2'", {"A": "1 2"}),
        ('A="x=y"', {"A": "x=y"}),
        ("# A=1", {}),
        ("A", {}),
        ("A=", {"A": ""}),
        ('A="it\'s"', {"A": "it's"}),
        ('A="', {"A": '"'}),
    ],
)
def test_etc_environment_is_read_as_pam_does(line: str, variables: dict[str, str]) -> None:
    assert parse_environment(f"\n{line}\n") == variables


@given(st.text())
def test_any_etc_environment_can_be_read(text: str) -> None:
    parse_environment(text)


@given(
    st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 99999), st.sampled_from(["", "/tcp", "/udp"])))
)
def test_every_port_flag_is_published(flags: list[tuple[int, int, str]]) -> None:
    env = {f"-p {host}:{inside}{protocol}": "1" for host, inside, protocol in flags}
    found = published(replace(SPEC, env=env | {"PORT": "-p 1:1", "-h": "box", "-v V.1:/mnt": "1"}))
    assert found == [(inside, protocol[1:] or "tcp") for _, inside, protocol in dict.fromkeys(flags)]


def test_the_platform_has_the_last_word_on_its_own_variables() -> None:
    spec = replace(SPEC, env={"CONTAINER_ID": "1", "MODEL": "sdxl", "-p 1:1": "1"})
    variables = container_environment(spec, {"70000/tcp": 41234}, ["ssh-ed25519 AAAA"], "127.0.0.1")
    assert variables == {
        "MODEL": "sdxl",
        "CONTAINER_ID": "4711",
        "CONTAINER_API_KEY": "instance-key",
        "VAST_CONTAINERLABEL": "C.4711",
        "PUBLIC_IPADDR": "127.0.0.1",
        "GPU_COUNT": "2",
        "SSH_PUBLIC_KEY": "ssh-ed25519 AAAA",
        "DATA_DIRECTORY": "/workspace/",
        "VAST_TCP_PORT_70000": "41234",
    }
