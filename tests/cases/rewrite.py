"""Write every case's plan anew: `python tests/cases/rewrite.py`. The diff is the review."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from case_files import PATHS, rewritten

for path in PATHS:
    path.write_text(rewritten(path), encoding="utf-8")
