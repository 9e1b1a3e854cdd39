"""SD1 and SD2 DreamBooth."""  # noqa: INP001 - a checkout is no package

from library.full_trainer import train
from library.main import run

if __name__ == "__main__":
    run(lambda args: train(args, sdxl=False))
