"""The life of each resource type: what creating, updating and deleting it does."""

import secrets
from collections.abc import Awaitable, Callable

from toolchain.command_plugin import local, remote, schema, sftp
from toolchain.command_plugin.call import Call
from toolchain.command_plugin.schema import ResourceSchema
from toolchain.command_plugin.values import Properties

_Run = Callable[[str, Properties, dict[str, str], Call], Awaitable[dict[str, str]]]


class Resource:
    """One resource type. The bags it gets hold no secret marks and, but for `refused`, are known.

    As it stands it accepts whatever has the right types, and deleting it does nothing.
    """

    def __init__(self, kind: ResourceSchema) -> None:
        self.schema = kind

    def refused(self, inputs: Properties) -> dict[str, str]:  # noqa: ARG002 - for subclasses
        """What is wrong with inputs that have the right types: property and reason."""
        return {}

    def new_id(self, name: str) -> str:  # noqa: ARG002 - for subclasses
        """An id for a new resource of that name."""
        return secrets.token_hex(4)

    async def create(self, inputs: Properties, call: Call) -> dict[str, str]:
        """Creates it and returns its computed outputs."""
        raise NotImplementedError

    async def update(self, state: Properties, inputs: Properties, call: Call) -> dict[str, str]:
        """Changes it in place and returns its computed outputs."""
        raise NotImplementedError

    async def delete(self, state: Properties, call: Call) -> None:
        """Deletes it."""


class Command(Resource):
    """`local.Command` and `remote.Command`: one life cycle, two ways to run."""

    def __init__(self, kind: ResourceSchema, run: _Run) -> None:
        super().__init__(kind)
        self._run = run

    def refused(self, inputs: Properties) -> dict[str, str]:
        """Refuses the two inputs that this stand-in cannot serve."""
        return {
            name: f"{name} is served by the official pulumi-command plugin only, and a stand-in "
            "for it is running: have the command print what the program needs"
            for name in ("archivePaths", "assetPaths")
            if inputs.get(name)
        }

    def new_id(self, name: str) -> str:
        """The resource's name and a random end."""
        return name + super().new_id(name)

    async def create(self, inputs: Properties, call: Call) -> dict[str, str]:
        """Runs `create`, if there is one."""
        return await self._run_if_any(inputs.get("create"), inputs, {}, call)

    async def update(self, state: Properties, inputs: Properties, call: Call) -> dict[str, str]:
        """Runs `update`, or `create` where there is none; without both the outputs stay."""
        command = inputs.get("update", inputs.get("create"))
        return await self._run_if_any(command, inputs, state, call)

    async def delete(self, state: Properties, call: Call) -> None:
        """Runs `delete`; without one, no machine is dialled."""
        await self._run_if_any(state.get("delete"), state, state, call)

    async def _run_if_any(
        self, command: str | None, inputs: Properties, state: Properties, call: Call
    ) -> dict[str, str]:
        previous = {name: state.get(name, "") for name in self.schema.computed}
        return previous if command is None else await self._run(command, inputs, previous, call)


class CopyToRemote(Resource):
    """`remote.CopyToRemote`: copies again only for new content or a new remote path."""

    def refused(self, inputs: Properties) -> dict[str, str]:
        """Refuses what is no file, text or folder."""
        reason = sftp.refused_source(inputs["source"])
        return {"source": reason} if reason else {}

    async def create(self, inputs: Properties, call: Call) -> dict[str, str]:
        """Copies."""
        await sftp.copy_to_remote(inputs, call)
        return {}

    async def update(self, state: Properties, inputs: Properties, call: Call) -> dict[str, str]:
        """Copies again, but not for a new host: as officially, only `triggers` does that."""
        same_content = state["source"].get("hash") == inputs["source"].get("hash")
        if not same_content or state["remotePath"] != inputs["remotePath"]:
            await sftp.copy_to_remote(inputs, call)
        return {}


class CopyFile(Resource):
    """`remote.CopyFile`, deprecated: any change replaces it, so there is no update."""

    async def create(self, inputs: Properties, call: Call) -> dict[str, str]:
        """Copies."""
        await sftp.copy_file(inputs, call)
        return {}


RESOURCES: dict[str, Resource] = {
    resource.schema.token: resource
    for resource in (
        Command(schema.LOCAL_COMMAND, local.run),
        Command(schema.REMOTE_COMMAND, remote.run),
        CopyToRemote(schema.COPY_TO_REMOTE),
        CopyFile(schema.COPY_FILE),
    )
}
