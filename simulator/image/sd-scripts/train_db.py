"""SD1 and SD2 DreamBooth."""

from library.full_trainer import train
from library.main import run

if __name__ == "__main__":
    run(lambda args: train(args, sdxl=False))
