"""`python -m gateway` serves; `python -m gateway certificate` makes and prints a certificate."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Final

import uvicorn
from pydantic import ValidationError

from gateway.app import create_app
from gateway.certificate import certificate
from gateway.limits import Patient
from gateway.settings import Settings

_HEAD_BYTES: Final = 16_384
_CONNECTIONS: Final = 1000
_FAREWELL_SECONDS: Final = 5


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="An HTTP API in front of ComfyUI.")
    commands = parser.add_subparsers(dest="command")
    making = commands.add_parser(
        "certificate", help="make a key and a certificate, unless they are there; print it"
    )
    making.add_argument("--folder", type=Path, required=True)
    making.add_argument("--address", required=True, help="IP address or host name that clients use")
    arguments = parser.parse_args()
    if arguments.command == "certificate":
        sys.stdout.write(certificate(arguments.folder, arguments.address))
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        server(Settings()).run()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        sys.exit(f"gateway: settings: {problems}")
    except ValueError as error:
        sys.exit(f"gateway: {error}")


def server(settings: Settings) -> uvicorn.Server:
    """Return what serves.

    Raises:
        ValueError: the settings, or a file that they name, are not as they should be.
    """
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        http=Patient,
        ws="none",
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
        access_log=False,
        server_header=False,
        log_config=None,
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    main()
