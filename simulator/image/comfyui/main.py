"""ComfyUI."""  # noqa: INP001 - a checkout is no package

from pathlib import Path

from programs.comfyui.start import start

if __name__ == "__main__":
    start(Path(__file__).resolve().parent)
