"""Every error that fragua raises on purpose.

    FraguaError
    ├── SpecError               a job file or an override is wrong
    ├── VastError
    │   ├── ApiError            Vast.ai answered with an error
    │   │   ├── Unauthorized    the key is missing, unknown, revoked or lacks a scope
    │   │   ├── RateLimited     asked too often, and waiting did not help
    │   │   ├── OfferGone       the offer was taken between search and rent
    │   │   └── NotFound        no such instance or key
    │   ├── ReplyLost           a call may or may not have had its effect, or its answer tells nothing
    │   ├── NoOffer             nothing on the market fits the job
    │   │   └── NotApproved     offers fit the node, but none what was approved
    │   ├── BalanceTooLow       the account cannot pay what is about to be rented
    │   └── ProvisioningError   machines were rented, none became usable
    │       └── OutOfCredit     because the account's credit was used up
    └── RemoteError
        ├── Unreachable         no SSH answer within the limit
        ├── AccessDenied        SSH answers but refuses the key
        ├── HostKeyChanged      the machine is not the one that was pinned
        ├── CommandFailed       a command on the machine failed
        ├── TransferFailed      a file did not arrive whole
        ├── JobFailed           a job on the machine failed or was lost
        ├── TrainingFailed      the trainer stopped, or made nothing
        ├── BucketFailed        object storage refuses, or is not reached
        └── ServiceFailed       ComfyUI or the gateway does not serve

Each message says what is wrong, where, and what to do; one that may leave something billing names the
instance and says whether it was destroyed.
"""

from __future__ import annotations


class FraguaError(Exception):
    """The root: anything a person can act on. Shown without a traceback."""


class SpecError(FraguaError):
    """A job file or an override is wrong. The message has one line a problem, with file, line and field."""


class VastError(FraguaError):
    """Something about Vast.ai."""


class ApiError(VastError):
    """Vast.ai refused a call.

    Attributes:
        status: HTTP status; 200 where the body said `success: false`.
        code: the body's `error`, or an empty string.
    """

    def __init__(self, call: str, status: int, code: str, message: str) -> None:
        """Describe the `call` (method and path, never the query or the key) and its answer."""
        super().__init__(f"Vast.ai refused {call}: {status} {code} {message}".replace("  ", " ").strip())
        self.status = status
        self.code = code


class Unauthorized(ApiError):
    """The API key is missing, unknown, revoked, or lacks a scope."""

    def __init__(self, call: str, status: int, code: str, message: str) -> None:
        """Add the remedy to the API's own words."""
        super().__init__(
            call,
            status,
            code,
            f"{message}. The API key is unknown, revoked or lacks a permission: set it with "
            "`pulumi config set --secret vast:apiKey KEY` or VAST_API_KEY, and look at its permissions "
            "in Vast.ai's account page. Nothing was changed; what was rented before still bills.",
        )


class RateLimited(ApiError):
    """Vast.ai kept answering 429 through all retries."""


class OfferGone(ApiError):
    """The offer cannot be rented any more: take the next."""


class NotFound(ApiError):
    """The instance or key does not exist (which is success when it was to be removed)."""


class ReplyLost(VastError):
    """A call may have had its effect: the connection broke or timed out, or its answer tells nothing."""


class NoOffer(VastError):
    """No offer fits. The message counts what each constraint excluded, and names the nearest offer."""


class NotApproved(NoOffer):
    """Offers fit the node, but each is dearer, slower or of another class than was approved."""


class BalanceTooLow(VastError):
    """The account's balance does not cover what is about to be rented. Nothing was rented."""


class ProvisioningError(VastError):
    """Machines were rented but none became usable; the message lists each and its end."""


class OutOfCredit(ProvisioningError):
    """The account's credit was used up while machines were on their way, so that Vast.ai stopped them."""


class RemoteError(FraguaError):
    """Something about a machine over SSH."""


class Unreachable(RemoteError):
    """The machine did not answer SSH within the limit."""


class AccessDenied(RemoteError):
    """The machine's sshd answered and refused the stack's key."""


class HostKeyChanged(RemoteError):
    """The machine showed another host key than the pinned one: nothing was sent to it."""


class CommandFailed(RemoteError):
    """A command failed.

    Attributes:
        exit_code: its exit status.
        output: the tail of what it printed.
    """

    def __init__(self, what: str, exit_code: int, output: str) -> None:
        """Describe `what` was tried in words; scripts and secrets are never quoted."""
        super().__init__(f"{what} failed with exit code {exit_code}: {output.strip()[-2000:]}")
        self.exit_code = exit_code
        self.output = output


class TransferFailed(RemoteError):
    """A file did not arrive whole."""


class JobFailed(RemoteError):
    """A job on the machine failed or was lost.

    Attributes:
        exit_code: of its script; None where it was lost.
        log: its end.
    """

    def __init__(self, name: str, state: str, exit_code: int | None, log: str) -> None:
        """Describe the job's end; its script may be secret and is never quoted."""
        super().__init__(f"{name} {state} on the machine (exit code {exit_code}): {log[-2000:]}")
        self.name, self.state, self.exit_code, self.log = name, state, exit_code, log


class TrainingFailed(RemoteError):
    """The trainer exited with an error, or exited 0 and made nothing."""


class BucketFailed(RemoteError):
    """Object storage refuses what was asked of it, or is not reached; the message has rclone's words."""


class ServiceFailed(RemoteError):
    """ComfyUI or the gateway does not serve; the message has what its log says."""
