"""SD1 and SD2 LoRA."""

from library.main import run
from library.network_trainer import train

if __name__ == "__main__":
    run(lambda args: train(args, sdxl=False))
