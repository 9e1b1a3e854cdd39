"""The release."""  # noqa: INP001 - a checkout is no package

__version__ = "0.3.64"
