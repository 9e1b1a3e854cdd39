"""Which changes of inputs update a resource, which replace it, and how they are named."""

import pytest
from conftest import COPY, COPY_FILE, LOCAL, REMOTE
from hypothesis import given
from hypothesis import strategies as st

from toolchain.command_plugin import schema
from toolchain.command_plugin.diff import diff
from toolchain.command_plugin.protocol import provider_pb2
from toolchain.command_plugin.values import ARCHIVE, ASSET, SIGNATURE, UNKNOWN, Secret

ADD, ADD_REPLACE, DELETE, DELETE_REPLACE, UPDATE, UPDATE_REPLACE = range(6)


def detail(answer):
    return {path: each.kind for path, each in answer.detailedDiff.items()}


def test_equal_inputs_are_no_change(plugin):
    news = {"create": "true", "triggers": [1.0, {"a": Secret("b")}], "environment": {"A": "b"}}
    answer = plugin.diff(LOCAL, news, news)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert not answer.replaces
    assert not answer.detailedDiff


@pytest.mark.parametrize(
    ("olds", "news", "expected"),
    [
        ({"create": "a"}, {"create": "b"}, {"create": UPDATE}),
        ({}, {"update": "b"}, {"update": ADD}),
        ({"delete": "a"}, {}, {"delete": DELETE}),
        ({"environment": {"A": "1"}}, {"environment": {"A": "2"}}, {"environment.A": UPDATE}),
        ({"environment": {"A": "1"}}, {"environment": {"A": "1", "B": "2"}}, {"environment.B": ADD}),
        ({"environment": {'a."b': "1"}}, {"environment": {}}, {'environment["a.\\"b"]': DELETE}),
        ({"interpreter": ["sh", "-c"]}, {"interpreter": ["sh"]}, {"interpreter[1]": DELETE}),
        (
            {"addPreviousOutputInEnv": True},
            {"addPreviousOutputInEnv": 1.0},
            {"addPreviousOutputInEnv": UPDATE},
        ),
    ],
)
def test_a_change_of_any_input_updates_and_is_named_by_its_path(plugin, olds, news, expected):
    answer = plugin.diff(LOCAL, olds, news)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert detail(answer) == expected
    assert not answer.replaces


@pytest.mark.parametrize(
    ("olds", "news", "expected"),
    [
        (["a"], ["b"], {"triggers[0]": UPDATE_REPLACE}),
        (["a"], ["a", "b"], {"triggers[1]": ADD_REPLACE}),
        (["a", "b"], ["a"], {"triggers[1]": DELETE_REPLACE}),
        ([{"x": 1.0}], [{"x": 2.0}], {"triggers[0].x": UPDATE_REPLACE}),
        (["a"], [UNKNOWN], {"triggers[0]": UPDATE_REPLACE}),
        (None, ["a"], {"triggers": ADD_REPLACE}),
        (["a"], None, {"triggers": DELETE_REPLACE}),
    ],
)
@pytest.mark.parametrize("token", [LOCAL, REMOTE, COPY])
def test_a_change_of_triggers_replaces(plugin, token, olds, news, expected):
    answer = plugin.diff(
        token,
        {} if olds is None else {"triggers": olds},
        {} if news is None else {"triggers": news},
    )
    assert list(answer.replaces) == ["triggers"]
    assert detail(answer) == expected


def test_what_is_unknown_counts_as_changed(plugin):
    assert detail(plugin.diff(LOCAL, {"create": "a"}, {"create": UNKNOWN})) == {"create": UPDATE}
    answer = plugin.diff(REMOTE, {"connection": Secret({"host": "a"})}, {"connection": Secret(UNKNOWN)})
    assert detail(answer) == {"connection": UPDATE}


def test_a_secret_is_compared_as_a_whole(plugin):
    olds = {"connection": Secret({"host": "a", "privateKey": Secret("k")})}
    assert not plugin.diff(REMOTE, olds, olds).detailedDiff
    news = {"connection": Secret({"host": "b", "privateKey": Secret("k")})}
    assert detail(plugin.diff(REMOTE, olds, news)) == {"connection": UPDATE}


def test_becoming_secret_is_a_change(plugin):
    assert detail(plugin.diff(LOCAL, {"stdin": "a"}, {"stdin": Secret("a")})) == {"stdin": UPDATE}


def test_a_new_host_updates_a_copy_and_replaces_none(plugin):
    answer = plugin.diff(COPY, {"connection": Secret({"host": "a"})}, {"connection": Secret({"host": "b"})})
    assert detail(answer) == {"connection": UPDATE}
    assert not answer.replaces


def test_a_source_is_compared_by_its_content(plugin):
    def source(signature, **fields):
        return {"source": {SIGNATURE: signature, **fields}}

    same = plugin.diff(COPY, source(ASSET, path="a", hash="1"), source(ASSET, path="b", hash="1"))
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE
    for other in (source(ASSET, path="a", hash="2"), source(ARCHIVE, path="a", hash="1")):
        assert detail(plugin.diff(COPY, source(ASSET, path="a", hash="1"), other)) == {"source": UPDATE}


def test_any_change_replaces_the_deprecated_copy(plugin):
    answer = plugin.diff(
        COPY_FILE, {"localPath": "a", "remotePath": "b"}, {"localPath": "c", "remotePath": "b"}
    )
    assert list(answer.replaces) == ["localPath"]
    assert detail(answer) == {"localPath": UPDATE_REPLACE}


bags = st.fixed_dictionaries(
    {},
    optional={
        "create": st.text(),
        "triggers": st.lists(st.text() | st.dictionaries(st.text(min_size=1), st.text())),
        "environment": st.dictionaries(st.text(min_size=1), st.text()),
    },
)


@given(bags, bags)
def test_a_diff_is_empty_only_for_equal_inputs_and_has_one_kind_per_direction(olds, news):
    forth, back = (diff(schema.LOCAL_COMMAND, *pair) for pair in ((olds, news), (news, olds)))
    assert bool(forth.detailedDiff) == (olds != news)
    assert forth.detailedDiff.keys() == back.detailedDiff.keys()
    opposite = {ADD: DELETE, DELETE: ADD, ADD_REPLACE: DELETE_REPLACE, DELETE_REPLACE: ADD_REPLACE}
    for path, kind in detail(forth).items():
        assert detail(back)[path] == opposite.get(kind, kind)
        assert (path.startswith("triggers")) == (kind in {ADD_REPLACE, DELETE_REPLACE, UPDATE_REPLACE})
