"""How a script starts: the command line, the training, and the ends that it can come to."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from library import parser
from library.console import Failure, traceback
from library.progress import Bar

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def run(train: Callable[[argparse.Namespace], None]) -> None:
    """Run the script that was started; exit 1 with a traceback where training fails."""
    args = parser.parse(Path(sys.argv[0]).stem)
    try:
        train(args)
    except Failure as failure:
        traceback(failure.last_line())
        Bar.close_all()
        sys.exit(1)
    except KeyboardInterrupt:
        traceback("KeyboardInterrupt")
        Bar.close_all()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
