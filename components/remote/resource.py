"""What a Pulumi program declares of a machine over SSH: `Folder` and `Step`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import Resource
from pulumi_command import remote

from components.remote.job import start_script
from components.remote.provider import FileProvider, FolderProvider

if TYPE_CHECKING:
    from pathlib import Path

    from components.remote.job import Job
    from components.remote.manifest import Manifest


@dataclass(frozen=True)
class Reach:
    """A machine as the things on it see it.

    Attributes:
        machine: the resource; what is on it needs no removal when it is destroyed.
        machine_id: changes when another machine takes its place, and everything on it starts over.
        host: name or address of its SSH server.
        port: of its SSH server.
        private_key: the stack's key.
        host_key: the pinned key, `ssh-ed25519 AAAA...`.
        suffix: what tells the names of resources on it from those on its like.
    """

    machine: pulumi.Resource
    machine_id: pulumi.Input[int]
    host: pulumi.Input[str]
    port: pulumi.Input[int]
    private_key: pulumi.Input[str]
    host_key: pulumi.Input[str]
    suffix: str = ""

    def name(self, name: str) -> str:
        """Return the name of a resource on this machine."""
        return f"{name}{self.suffix}"

    def login(self) -> pulumi.Output[dict[str, object]]:
        """The fields of `components.remote.shell.Login`, as a secret."""
        return pulumi.Output.secret(
            {
                "host": self.host,
                "port": self.port,
                "private_key": self.private_key,
                "host_key": self.host_key,
            }
        )

    def options(self, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
        """Options of everything on the machine: it dies with it, so nothing dials a dying host."""
        return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(deleted_with=self.machine), opts)


class Folder(Resource, module="remote", name="Folder"):
    """A folder on the machine, kept equal to one on this computer."""

    def __init__(
        self,
        name: str,
        reach: Reach,
        source: Path,
        manifest: Manifest,
        *,
        folder: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that `folder` (relative to the workspace) holds the `manifest` of `source`."""
        props = {
            "machine": reach.machine_id,
            "login": reach.login(),
            "source": str(source),
            "folder": folder,
            "digest": manifest.digest,
            "files": len(manifest.files),
            "bytes": manifest.size,
        }
        super().__init__(FolderProvider(), reach.name(name), props, reach.options(opts))


class File(Resource, module="remote", name="File"):
    """A file on the machine, equal to one on this computer."""

    def __init__(
        self,
        name: str,
        reach: Reach,
        source: pulumi.Input[str],
        *,
        path: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare that `path` (relative to the workspace, different for other content) holds `source`."""
        props = {
            "machine": reach.machine_id,
            "login": reach.login(),
            "source": source,
            "path": path,
        }
        super().__init__(FileProvider(), reach.name(name), props, reach.options(opts))


def step(
    reach: Reach,
    job: Job,
    *,
    before: pulumi.Input[str] | None = None,
    opts: pulumi.ResourceOptions | None = None,
) -> remote.Command:
    """Declare that `job` is started on the machine, after the script `before`, which may hold secrets.

    The command returns at once with one short line; the job goes on detached, with its own log. The script
    goes by standard input, so that an error does not print it.
    """
    connection = remote.ConnectionArgs(
        host=reach.host,
        port=pulumi.Output.from_input(reach.port).apply(float),
        user="root",
        private_key=reach.private_key,
        host_key=reach.host_key,
        dial_error_limit=4,
    )
    return remote.Command(
        reach.name(job.name),
        connection=connection,
        create="bash -s",
        stdin=pulumi.Output.concat(before, start_script(job)) if before else start_script(job),
        triggers=[reach.machine_id, job.digest],
        logging=remote.Logging.NONE,
        add_previous_output_in_env=False,  # an sshd refuses the variable, and Pulumi warns of it
        opts=reach.options(opts),
    )
