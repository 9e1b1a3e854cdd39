"""fragua's house: one room for each outside party, one floor for each distance from the world.

Rooms: `vast` (Vast.ai's API), `remote` (a machine over SSH), `dataset` (images with captions), `kohya`
(sd-scripts), `comfyui` (ComfyUI and the gateway), `record` (what stays of a run, for people and programs),
and `cost` (money, which talks to nobody). `vast`, `kohya` and `comfyui` do not know each other; all may use
`remote` and `cost`, which know none of them; `kohya` uses `dataset`; `record` knows none of them; stacks
connect them. Beside the house stand the packages `comfy` (ComfyUI's client and graphs, which it uses) and
`gateway` (which it only sends to machines).
Floors, each importing only those above it in this list; pyproject.toml has them module by module:

0. `errors`, `spec`: what a user may write in a job file, validated and frozen; `home`, `known`: what is
   remembered on this computer.
1. `vast.offers`, `vast.policy`, `vast.lease`, `remote.job`, `kohya.derive`, `kohya.refuse`, `kohya.plan`,
   `kohya.ledger`, `comfyui.plan`: pure functions from spec to plan, and from what happened to what is next.
2. `vast.client`, `vast.lifecycle`, `remote.shell`, `remote.transfer`, `kohya.training`, `kohya.run`,
   `kohya.running`, `comfyui.serving`: the edges, where bytes move. No Pulumi up to here.
3. `*.provider`: Pulumi dynamic providers, each method a few lines over floor 2. Their module paths and
   class names are part of every stack's state: never rename them without leaving the old name behind.
4. `*.resource`: what a Pulumi program declares.
5. `stacks`: the programs, composed from the rooms.
"""
