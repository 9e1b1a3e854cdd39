"""The gRPC service: turns the engine's requests into calls on the resource types."""
# ruff: noqa: N802, ARG002 - gRPC fixes the names and the arguments of these methods

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from toolchain.command_plugin import local, schema, values
from toolchain.command_plugin.call import Call, CommandError
from toolchain.command_plugin.check import check
from toolchain.command_plugin.diff import diff
from toolchain.command_plugin.protocol import (
    CHANNEL_OPTIONS,
    Empty,
    engine_pb2_grpc,
    grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)
from toolchain.command_plugin.resources import RESOURCES, Resource
from toolchain.command_plugin.values import UNKNOWN, Properties

_PARENT_CHECK_S = 1.0


async def serve(engine_address: str | None) -> None:
    """Prints the port it listens on, then serves until the process that started it is gone.

    Args:
        engine_address: where the engine takes messages for the person, None to drop them.
    """
    parent = os.getppid()
    engine = None
    if engine_address:
        channel = grpc.aio.insecure_channel(engine_address, options=CHANNEL_OPTIONS)
        engine = engine_pb2_grpc.EngineStub(channel)
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(CommandProvider(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(_PARENT_CHECK_S)
    await server.stop(grace=None)


class CommandProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the `command` package.

    Secrets and resource references come and go as such; output values (with their dependencies)
    are not asked for, since nothing here depends on them.

    Args:
        engine: the engine's logging service, None where there is no engine.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._cancelled = asyncio.Event()

    async def Handshake(self, request: Any, context: Any) -> Any:
        """Says which kinds of value the plugin understands."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=False
        )

    async def Configure(self, request: Any, context: Any) -> Any:
        """Says the same; the package has no configuration."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=True, acceptOutputs=False, supportsPreview=True
        )

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        """Accepts any configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        """Finds that no configuration matters."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Gives the version of the official plugin that this one stands in for."""
        return plugin_pb2.PluginInfo(version=schema.VERSION)

    async def GetSchema(self, request: Any, context: Any) -> Any:
        """Gives the package's schema."""
        return provider_pb2.GetSchemaResponse(schema=schema.published_schema())

    async def Check(self, request: Any, context: Any) -> Any:
        """Fills in defaults, marks secrets, and refuses what is wrong."""
        resource = await _resource(request, context)
        inputs, failures = check(resource.schema.token, resource.schema.inputs, values.decode(request.news))
        if not failures:
            failures = resource.refused(values.plain(inputs))
        return provider_pb2.CheckResponse(inputs=values.encode(inputs), failures=_listed(failures))

    async def Diff(self, request: Any, context: Any) -> Any:
        """Compares the inputs, old and new; outputs do not count."""
        resource = await _resource(request, context)
        return diff(resource.schema, values.decode(request.old_inputs), values.decode(request.news))

    async def Create(self, request: Any, context: Any) -> Any:
        """Creates a resource; in a preview nothing runs and its outputs are unknown."""
        resource = await _resource(request, context)
        inputs = values.decode(request.properties)
        computed = _unknown_outputs(resource)
        if not request.preview:
            async with _failures_reported(context):
                computed = await resource.create(values.plain(inputs), self._call(request))
        return provider_pb2.CreateResponse(
            id=resource.new_id(request.urn.split("::")[-1]),
            properties=values.encode({**inputs, **computed}),
        )

    async def Read(self, request: Any, context: Any) -> Any:
        """Finds every resource as the state has it."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Update(self, request: Any, context: Any) -> Any:
        """Updates a resource; in a preview nothing runs and its outputs are unknown."""
        resource = await _resource(request, context)
        state = values.plain(values.decode(request.olds))
        inputs = values.decode(request.news)
        computed = _unknown_outputs(resource)
        if not request.preview:
            async with _failures_reported(context):
                computed = await resource.update(state, values.plain(inputs), self._call(request))
        return provider_pb2.UpdateResponse(properties=values.encode({**inputs, **computed}))

    async def Delete(self, request: Any, context: Any) -> Any:
        """Deletes a resource."""
        resource = await _resource(request, context)
        state = values.plain(values.decode(request.properties))
        async with _failures_reported(context):
            await resource.delete(state, self._call(request))
        return Empty()

    async def Invoke(self, request: Any, context: Any) -> Any:
        """Runs the package's one function, in a preview too."""
        function = schema.LOCAL_RUN
        if request.tok != function.token:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Invoke: function '{request.tok}' not found")
        given, failures = check(function.token, function.inputs, values.decode(request.args))
        if failures:
            return provider_pb2.InvokeResponse(failures=_listed(failures))
        inputs = values.plain(given)
        call = Call(urn="", timeout=0, cancelled=self._cancelled, engine=self._engine)
        async with _failures_reported(context):
            outputs = await local.run(inputs["command"], inputs, {}, call)
        return provider_pb2.InvokeResponse(**{"return": values.encode({**given, **outputs})})

    async def Cancel(self, request: Any, context: Any) -> Any:
        """Stops local commands and attempts to dial; a remote command that runs goes on."""
        self._cancelled.set()
        return Empty()

    def _call(self, request: Any) -> Call:
        return Call(request.urn, request.timeout, self._cancelled, self._engine)


async def _resource(request: Any, context: Any) -> Resource:
    token = request.urn.split("::")[2].split("$")[-1]
    if token not in RESOURCES:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown resource type '{token}'")
    return RESOURCES[token]


def _unknown_outputs(resource: Resource) -> Properties:
    return dict.fromkeys(resource.schema.computed, UNKNOWN)


@asynccontextmanager
async def _failures_reported(context: Any) -> AsyncIterator[None]:
    try:
        yield
    except CommandError as error:
        await context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _listed(failures: dict[str, str]) -> list[Any]:
    return [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures.items()]
