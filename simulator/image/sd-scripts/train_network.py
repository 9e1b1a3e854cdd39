"""SD1 and SD2 LoRA."""  # noqa: INP001 - a checkout is no package

from library.main import run
from library.network_trainer import train

if __name__ == "__main__":
    run(lambda args: train(args, sdxl=False))
