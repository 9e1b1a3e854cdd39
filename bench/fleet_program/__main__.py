"""A key and a gang of machines, as many as the config says."""

import pulumi

from components.spec.node import Gpu, Node
from components.vast.resource import Gang, SshKey

node = Node(
    gpu=Gpu(models=("RTX 3090", "RTX 4090", "RTX A6000", "A100", "RTX 4080", "L40S"), cuda=11),
    image="vastai/pytorch:2.7.1-cu128-py311",
    disk=20,
    max_price=9,
    reliability=0.5,
)
Gang("gang", node, pulumi.Config().require_int("count"), SshKey("key"))
