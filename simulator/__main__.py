"""`python -m simulator`: run the simulator alone, for any Vast client."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from simulator.server import Simulator
from simulator.store import WorldInUseError


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(prog="simulator", description="A Vast.ai on loopback.")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 picks a free one")
    parser.add_argument("--scale", type=float, default=60.0, help="virtual seconds per second")
    parser.add_argument("--seed", type=int, default=7, help="seed of the market")
    parser.add_argument("--data", type=Path, help="folder of the world; temporary without it")
    parser.add_argument("--calm", action="store_true", help="nothing happens by itself")
    parser.add_argument(
        "--rate-limits", type=float, default=1.0, help="factor on Vast's intervals; 0 for none"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        simulator = Simulator(**vars(options))
    except (OSError, WorldInUseError) as error:
        parser.exit(1, f"simulator: {error}\n")
    with simulator:
        print(f"VAST_URL={simulator.url}", flush=True)  # noqa: T201 - the settings to use
        print(f"VAST_API_KEY={simulator.api_key}", flush=True)  # noqa: T201 - the settings to use
        stopping.wait()


if __name__ == "__main__":
    main()
