"""Debian packages that a job needs of its machine's image. Pure."""

from __future__ import annotations


def needed(test: str, *packages: str) -> str:
    """Return a command of bash that installs `packages` where `test` fails.

    Jobs that run side by side do so one after another: apt's own lock on its lists lets nobody wait. That
    lists are not renewed, as where an image knows a source that is gone, is no reason not to install.
    """
    install = (
        "apt-get update -qq || true; DEBIAN_FRONTEND=noninteractive apt-get install -yqq "
        f"--no-install-recommends -oDPkg::Lock::Timeout=300 {' '.join(packages)}"
    )
    return f"{{ {test}; }} &> /dev/null || flock /tmp bash -c '{install}' > /dev/null"
