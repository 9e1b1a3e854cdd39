"""A stand-in for OpenCV, which cannot be imported where the system lacks libGL. It opens no images."""

from __future__ import annotations

from pathlib import Path

from hardware.facts import run_file

from cv2.version import __version__

__all__ = ["__version__"]


def _needs_a_screen() -> bool:
    return not any(Path(__file__).parents[1].glob("opencv_python_headless-*.dist-info"))


def _has(library: str) -> bool:
    record = run_file("packages")
    return record.is_file() and library in record.read_text(encoding="utf-8").split()


if _needs_a_screen() and not (_has("libgl1") or _has("libgl1-mesa-glx")):
    raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
