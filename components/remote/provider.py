"""The Pulumi dynamic providers of what is sent to a machine. Their module path is in every stack's state."""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult


class FolderProvider(ResourceProvider):
    """Keeps a folder on a machine equal to one on this computer."""

    serialize_as_secret_always = False  # only a class name is serialized

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Send again for other content; start over on another machine or in another place."""
        replaces = [name for name in ("machine", "folder") if olds[name] != news[name]]
        return DiffResult(changes=bool(replaces) or olds["digest"] != news["digest"], replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Send the folder."""
        from components.remote.upload import upload  # noqa: PLC0415 - a preview needs no SSH

        return CreateResult(f"{int(props['machine'])}/{props['folder']}", upload(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Send what changed, remove what is gone."""
        from components.remote.upload import upload  # noqa: PLC0415 - a preview needs no SSH

        return UpdateResult(upload(news))


class FileProvider(ResourceProvider):
    """Keeps a file on a machine equal to one on this computer; its path there tells its content."""

    serialize_as_secret_always = False  # only a class name is serialized

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Send to another machine, or other content."""
        replaces = [name for name in ("machine", "path") if olds[name] != news[name]]
        return DiffResult(changes=bool(replaces), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Send the file."""
        from components.remote.upload import upload_file  # noqa: PLC0415 - a preview needs no SSH

        return CreateResult(f"{int(props['machine'])}/{props['path']}", upload_file(props))
