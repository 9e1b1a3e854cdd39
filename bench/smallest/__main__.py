"""One dynamic resource and one command: the same two plugins that fragua starts."""

from provider import Least
from pulumi_command import local

Least()
local.Command("command", create="true")
