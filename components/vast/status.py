"""What an instance's several status fields mean together. Pure.

Source: the status table of Vast.ai's documentation with what its clients (CLI, dstack, SkyPilot) learned:
`stopped` and `exited` are told apart by `intended_status` and `cur_state`, not by name; `actual_status` may
be null; a failed container start leaves the status at created or loading for ever.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.vast.wire import Instance

_DEAD = (
    "error response from daemon",
    "failed to pull image",
    "no space left on device",
    "manifest unknown",
    "unauthorized",
    "unexpected eof",
    "oci runtime create failed",
)


class Status(StrEnum):
    """The state of an instance as a person would say it."""

    PROVISIONING = "provisioning"
    RUNNING = "running"
    OUTBID = "outbid"
    """Interruptible and preempted: keeps its disk and the disk's bill, resumes if its bid wins again."""
    STOPPED = "stopped"
    """Stopped by someone: only the disk bills."""
    SCHEDULING = "scheduling"
    """Should run, but the GPU is rented to another, or credit ran out."""
    CRASHED = "crashed"
    """The container's process ended, or it could not be started."""
    OFFLINE = "offline"
    """The host is not heard from; it may come back with the data."""


def status(instance: Instance) -> Status:
    """Tell the state of `instance`."""
    actual = instance.actual_status
    if actual in ("stopped", "exited"):
        return _halted(instance)
    if actual in ("offline", "unknown"):
        return Status.OFFLINE
    if actual in ("running", "frozen"):
        return Status.RUNNING
    dead = any(words in (instance.status_msg or "").lower() for words in _DEAD)
    return Status.CRASHED if dead else Status.PROVISIONING


def _halted(instance: Instance) -> Status:
    if instance.intended_status == "stopped":
        return Status.STOPPED
    if instance.cur_state == "running":
        return Status.CRASHED
    return Status.OUTBID if instance.is_bid else Status.SCHEDULING
