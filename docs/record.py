"""Draws docs/demo.svg from what the demo prints: `./fragua demo | .venv/bin/python docs/record.py`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

screen = Console(record=True, width=112, file=io.StringIO())
screen.print(Text("$ ./fragua demo", style="bold green"))
for line in sys.stdin:
    sys.stdout.write(line)
    screen.print(Text.from_ansi(line.rstrip("\n")))
Path(__file__).with_name("demo.svg").write_text(screen.export_svg(title="fragua"), encoding="utf-8")
