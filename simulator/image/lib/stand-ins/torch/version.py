"""Which build of torch this is; written anew at each installation."""

__version__ = "2.9.1"
cuda: str | None = "12.8"
