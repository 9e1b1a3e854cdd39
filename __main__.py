"""fragua: one stack is one job, declared from a job file under configs/.

pulumi up -s train       rent, verify, provision, upload, train (components/stacks/train.py)
pulumi up -s infer       rent, verify, provision, serve ComfyUI behind a gateway (components/stacks/infer.py)
"""

import pulumi

from components.errors import FraguaError
from components.stacks.program import build

try:
    outputs = build(pulumi.Config())
except FraguaError as error:
    raise pulumi.RunError(str(error)) from None

for name, value in outputs.items():
    pulumi.export(name, value)
