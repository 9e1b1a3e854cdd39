"""The checkout as a package: there for `-e .`."""  # noqa: INP001 - a checkout is no package
