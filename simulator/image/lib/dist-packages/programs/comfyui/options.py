"""The command line: the flags of 0.3.64 that a server without a screen is given."""

from __future__ import annotations

import argparse
from pathlib import Path

_PRECISION = (
    ("--force-fp32", "--force-fp16"),
    ("--fp32-unet", "--fp64-unet", "--bf16-unet", "--fp16-unet", "--fp8_e4m3fn-unet", "--fp8_e5m2-unet"),
    ("--fp16-vae", "--fp32-vae", "--bf16-vae"),
    ("--fp8_e4m3fn-text-enc", "--fp8_e5m2-text-enc", "--fp16-text-enc", "--fp32-text-enc", "--bf16-text-enc"),
    ("--use-split-cross-attention", "--use-quad-cross-attention", "--use-pytorch-cross-attention",
     "--use-sage-attention", "--use-flash-attention"),
    ("--force-upcast-attention", "--dont-upcast-attention"),
    ("--gpu-only", "--highvram", "--normalvram", "--lowvram", "--novram", "--cpu"),
    ("--cuda-malloc", "--disable-cuda-malloc"),
)  # fmt: skip
_SWITCHES = (
    "--auto-launch", "--disable-auto-launch", "--cpu-vae", "--force-channels-last", "--disable-xformers",
    "--async-offload", "--force-non-blocking", "--disable-smart-memory", "--deterministic",
    "--mmap-torch-files", "--disable-mmap", "--dont-print-server", "--quick-test-for-ci",
    "--windows-standalone-build", "--disable-metadata", "--disable-all-custom-nodes",
    "--disable-api-nodes", "--multi-user", "--log-stdout", "--enable-compress-response-body",
)  # fmt: skip
_VALUES = ("--tls-keyfile", "--tls-certfile", "--base-directory", "--output-directory", "--temp-directory",
           "--input-directory", "--user-directory", "--front-end-version", "--front-end-root",
           "--comfy-api-base", "--database-url", "--oneapi-device-selector")  # fmt: skip


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; argparse ends the program where it does not fit."""
    parser = argparse.ArgumentParser("main.py")
    parser.add_argument("--listen", default="127.0.0.1", metavar="IP", nargs="?", const="0.0.0.0,::")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--enable-cors-header", default=None, metavar="ORIGIN", nargs="?", const="*")
    parser.add_argument("--max-upload-size", type=float, default=100)
    parser.add_argument(
        "--extra-model-paths-config", metavar="PATH", nargs="+", action="append", default=[], type=Path
    )
    parser.add_argument("--cuda-device", type=int, default=None)
    parser.add_argument("--default-device", type=int, default=None)
    parser.add_argument("--preview-method", choices=["none", "auto", "latent2rgb", "taesd"], default="none")
    parser.add_argument("--preview-size", type=int, default=512)
    parser.add_argument("--reserve-vram", type=float, default=None)
    parser.add_argument(
        "--default-hashing-function", choices=["md5", "sha1", "sha256", "sha512"], default="sha256"
    )
    parser.add_argument("--fast", nargs="*")
    parser.add_argument("--whitelist-custom-nodes", nargs="+", default=[])
    parser.add_argument(
        "--verbose", default="INFO", const="DEBUG", nargs="?",
        choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    )  # fmt: skip
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--cache-classic", action="store_true")
    cache.add_argument("--cache-lru", type=int, default=0)
    cache.add_argument("--cache-none", action="store_true")
    for names in _PRECISION:
        group = parser.add_mutually_exclusive_group()
        for name in names:
            group.add_argument(name, action="store_true")
    for name in _SWITCHES:
        parser.add_argument(name, action="store_true")
    for name in _VALUES:
        parser.add_argument(name, default=None)
    return parser.parse_args(arguments)
