"""SaveImageWebsocket: the server brings it along."""  # noqa: INP001 - a checkout is no package
