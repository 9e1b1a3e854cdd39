"""What the plugin makes of a program's inputs before anything is created."""

import json

import pytest
from conftest import COPY, COPY_FILE, LOCAL, REMOTE
from hypothesis import given
from hypothesis import strategies as st
from pulumi._types import input_type_py_to_pulumi_names
from pulumi_command import local, remote

from toolchain.command_plugin import schema, values
from toolchain.command_plugin.protocol import provider_pb2
from toolchain.command_plugin.values import UNKNOWN, Secret

CONNECTION = {"host": "example.com"}


def test_a_connection_gets_its_defaults_and_becomes_secret(plugin):
    inputs = plugin.inputs(REMOTE, {"connection": CONNECTION})
    assert inputs["connection"] == Secret(
        {"host": "example.com", "user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
    )


def test_a_zero_that_is_given_is_no_missing_value(plugin):
    news = {"connection": CONNECTION | {"perDialTimeout": 0.0, "dialErrorLimit": 0.0}}
    connection = plugin.inputs(REMOTE, news)["connection"].value
    assert (connection["perDialTimeout"], connection["dialErrorLimit"]) == (0, 0)


def test_a_proxy_gets_the_same_defaults(plugin):
    connection = CONNECTION | {"proxy": {"host": "bastion", "password": "p"}}
    proxy = plugin.inputs(REMOTE, {"connection": connection})["connection"].value["proxy"]
    assert proxy == {
        "host": "bastion",
        "password": Secret("p"),
        "user": "root",
        "port": 22,
        "dialErrorLimit": 10,
        "perDialTimeout": 15,
    }


@pytest.mark.parametrize("name", ["password", "privateKey", "privateKeyPassword"])
def test_what_opens_a_door_is_marked_secret_once(plugin, name):
    for given_value in ("key", Secret("key")):
        connection = CONNECTION | {name: given_value}
        assert plugin.inputs(REMOTE, {"connection": connection})["connection"].value[name] == Secret("key")


def test_local_inputs_come_back_as_they_were(plugin):
    news = {
        "create": "true",
        "triggers": ["a", 1.0, {"b": [True]}],
        "environment": {"A": Secret("b"), "C": UNKNOWN},
        "stdin": UNKNOWN,
        "dir": "/tmp",
        "interpreter": ["bash", "-c"],
        "logging": "none",
        "addPreviousOutputInEnv": False,
    }
    assert plugin.inputs(LOCAL, news) == news


def test_what_is_unknown_is_not_held_against_a_program(plugin):
    inputs = plugin.inputs(REMOTE, {"connection": {"host": UNKNOWN, "port": UNKNOWN}, "create": UNKNOWN})
    assert inputs["connection"].value["host"] is UNKNOWN
    assert plugin.inputs(REMOTE, {"connection": Secret(UNKNOWN)})["connection"] == Secret(UNKNOWN)


@pytest.mark.parametrize(
    ("token", "news", "wrong", "reason"),
    [
        (REMOTE, {}, "connection", "Missing required field 'connection' on 'command:remote:Command'"),
        (REMOTE, {"connection": {}}, "connection", "Missing required field 'host'"),
        (COPY, {"connection": CONNECTION, "remotePath": "/a"}, "source", "Missing required field 'source'"),
        (COPY_FILE, {"connection": CONNECTION, "remotePath": "/a"}, "localPath", "Missing required field"),
        (LOCAL, {"creat": "true"}, "creat", "Unrecognized field 'creat' on 'command:local:Command'"),
        (REMOTE, {"connection": CONNECTION | {"key": "x"}}, "connection", "Unrecognized field 'key'"),
        (LOCAL, {"create": 1.0}, "create", "must be a 'string'; got 'float' instead"),
        (LOCAL, {"triggers": "x"}, "triggers", "must be a 'list'"),
        (LOCAL, {"environment": {"A": 1.0}}, "environment", "Field 'A' in 'environment' on"),
        (LOCAL, {"environment": ["A"]}, "environment", "must be a 'map'"),
        (LOCAL, {"addPreviousOutputInEnv": "no"}, "addPreviousOutputInEnv", "must be a 'boolean'"),
        (REMOTE, {"connection": CONNECTION | {"port": "22"}}, "connection", "must be a 'number'"),
        (LOCAL, {"assetPaths": ["*"]}, "assetPaths", "official pulumi-command plugin only"),
        (LOCAL, {"archivePaths": ["*"]}, "archivePaths", "official pulumi-command plugin only"),
    ],
)
def test_what_is_wrong_is_named(plugin, token, news, wrong, reason):
    _, failures = plugin.check(token, news)
    assert failures.keys() == {wrong}
    assert reason in failures[wrong]


def test_inputs_that_are_wrong_are_secret_all_the_same(plugin):
    news = {"connection": CONNECTION | {"privateKey": "k", "typo": "x"}}
    inputs, failures = plugin.check(REMOTE, news)
    assert failures
    assert isinstance(inputs["connection"], Secret)


def test_every_input_of_the_python_sdk_is_accepted_under_its_name():
    for kind, arguments in [
        (schema.LOCAL_COMMAND, local.CommandArgs),
        (schema.REMOTE_COMMAND, remote.CommandArgs),
        (schema.COPY_TO_REMOTE, remote.CopyToRemoteArgs),
        (schema.COPY_FILE, remote.CopyFileArgs),
        (schema.CONNECTION, remote.ConnectionArgs),
    ]:
        fields = kind.fields if isinstance(kind, schema.ObjectType) else kind.inputs
        names = set(input_type_py_to_pulumi_names(arguments).values())
        assert fields.keys() == names, kind.token


def test_the_schema_names_what_replaces_and_what_is_secret(plugin):
    published = json.loads(plugin.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert set(published["resources"]) == {LOCAL, REMOTE, COPY, COPY_FILE}
    command = published["resources"][REMOTE]
    assert command["inputProperties"]["triggers"]["replaceOnChanges"] is True
    assert command["inputProperties"]["connection"] == {
        "$ref": "#/types/command:remote:Connection",
        "secret": True,
    }
    assert command["required"] == ["connection", "stderr", "stdout"]
    assert command["requiredInputs"] == ["connection"]
    connection = published["types"]["command:remote:Connection"]
    assert connection["properties"]["port"] == {"type": "number", "default": 22}
    assert connection["required"] == ["host"]


property_values = st.recursive(
    st.text() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.just(UNKNOWN),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.builds(values.secret, inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), property_values))
def test_a_bag_survives_the_wire(bag):
    assert values.decode(values.encode(bag)) == bag
