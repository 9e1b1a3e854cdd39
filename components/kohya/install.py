"""What puts sd-scripts on a machine, in one of two ways. Pure.

`own` makes an environment on any image with CUDA's driver; `kohya-template` uses the one of Vast.ai's Kohya
image. Both check out one pinned commit of sd-scripts for themselves, since the image's is another one, and
fetch the tokenizers, which sd-scripts would otherwise ask the Hub for when training starts. Each stage leaves
a stamp with what it did in the folder that it filled, so that a repeated run does what is missing only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from components.errors import SpecError
from components.remote.job import Job
from components.remote.package import needed
from components.remote.python import OWN_TORCH, STAGES, image_torch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SD_SCRIPTS_COMMIT: Final = "48d368fa557731ad0488c07304dfeba8c07910eb"
"""The commit of kohya-ss/sd-scripts that options and messages were read from (0.10.1, 2026-02-16)."""

Way = Literal["own", "kohya-template"]

EXTRAS: Final[Mapping[str, str]] = {
    "dadaptation": "dadaptation==3.2",
    "deepspeed": "deepspeed==0.16.7",
    "lycoris-lora": "lycoris-lora==3.2.0.post2",
    "wandb": "wandb==0.23.1",
    "xformers": "xformers",
}
"""What a job may want besides sd-scripts' own requirements; xformers' version follows torch's."""

_PINS: Final = "bitsandbytes==0.50.2 numpy==2.2.6 tensorboard==2.21.0"
"""What sd-scripts leaves open: the bitsandbytes whose arguments were read, the newest numpy that has wheels
for Python 3.10, the first TensorBoard that does without pkg_resources."""

_UNTIL: Final = "2026-11-20"
"""No package of a later day is taken, so that what those need in turn stays what was tried."""

_XFORMERS: Final = {"2.6.0": "0.0.29.post3", "2.7.1": "0.0.31.post1", "2.8.0": "0.0.32.post2"}
"""By version of torch: each is built for one."""

_TOKENIZERS: Final = ("openai/clip-vit-large-patch14", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k")
_TOKENIZER_FILES: Final = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")

_SCRIPTS: Final = "sd-scripts"
_FOLDER: Final = "tokenizers"


@dataclass(frozen=True)
class Trainer:
    """sd-scripts on a machine; paths are relative to the workspace, or absolute.

    Attributes:
        install: the job that makes all of this be there.
        python: the interpreter that has what sd-scripts needs.
        accelerate: the program that launches training.
        tensorboard: the program that shows its logs.
        scripts: the folder of sd-scripts.
        tokenizers: what `--tokenizer_cache_dir` is to name.
    """

    install: Job
    python: str
    accelerate: str
    tensorboard: str
    scripts: str
    tokenizers: str


def trainer(way: Way, packages: Collection[str] = ()) -> Trainer:
    """Return the trainer that is installed in that way, with those of `EXTRAS`.

    Raises:
        SpecError: a package that is not among them.
    """
    if unknown := sorted(set(packages) - EXTRAS.keys()):
        raise SpecError(f"{', '.join(unknown)}: no version is known to fit; there are {', '.join(EXTRAS)}")
    venv, first = (
        ("venv", [STAGES, OWN_TORCH])
        if way == "own"
        else ("/venv/main", [image_torch("Kohya", "$venv/bin/python", "kohya"), STAGES])
    )
    programs = needed("command -v git && command -v curl", "git", "curl", "ca-certificates")
    stages = [f"{programs}\n", *first, _SCRIPTS_AND_REQUIREMENTS, _extras(packages), _TOKENIZER_STAGE, _CHECK]
    script = f"venv=$(realpath -m {venv})\n{''.join(stages)}"
    return Trainer(
        install=Job("install", script),
        python=f"{venv}/bin/python",
        accelerate=f"{venv}/bin/accelerate",
        tensorboard=f"{venv}/bin/tensorboard",
        scripts=_SCRIPTS,
        tokenizers=_FOLDER,
    )


_SCRIPTS_AND_REQUIREMENTS: Final = f"""do_scripts() {{
  rm -rf {_SCRIPTS}
  git init --quiet {_SCRIPTS}
  git -C {_SCRIPTS} remote add origin https://github.com/kohya-ss/sd-scripts
  again git -C {_SCRIPTS} fetch --quiet --depth 1 origin {SD_SCRIPTS_COMMIT}
  git -C {_SCRIPTS} checkout --quiet FETCH_HEAD
}}
stage {_SCRIPTS} scripts {SD_SCRIPTS_COMMIT}
mkdir -p .fragua
constraints=$PWD/.fragua/constraints.txt
printf '%s\\n' {_PINS} torch==$torch > $constraints
pinned() {{ packages --constraint $constraints --exclude-newer {_UNTIL} "$@"; }}
# its requirements name the checkout itself as `.`
do_requirements() {{
  (cd {_SCRIPTS} && pinned -r requirements.txt tensorboard)
}}
stage $venv requirements "sd-scripts {SD_SCRIPTS_COMMIT[:8]} of {_UNTIL}, {_PINS}, torch $torch"
{needed("$venv/bin/python -c 'import cv2'", "libgl1", "libglib2.0-0")}
"""


def _extras(packages: Collection[str]) -> str:
    """Return the stage that installs those packages, xformers from torch's own index."""
    named = " ".join(EXTRAS[name] for name in sorted(packages) if name != "xformers")
    choice, steps = "xformers=\n", ""
    if "xformers" in packages:
        pins = "".join(f"  {torch}) xformers=xformers=={fit} ;;\n" for torch, fit in _XFORMERS.items())
        choice = f"""case $torch in
{pins}  *) echo "no xformers is known for torch $torch: leave it out, and use sdpa"; exit 1 ;;
esac
"""
        steps = "  packages $xformers --index-url $index\n"
    if named:
        steps += f"  pinned {named}\n"
    if not steps:
        return ""
    return f'{choice}do_extras() {{\n{steps}}}\nstage $venv extras "$xformers {named}, torch $torch"\n'


_TOKENIZER_STAGE: Final = f"""do_tokenizers() {{
  rm -rf {_FOLDER}
  for name in {" ".join(_TOKENIZERS)}; do
    folder={_FOLDER}/${{name/\\//_}}
    mkdir -p $folder
    for file in {" ".join(_TOKENIZER_FILES)}; do
      curl -fsSL --proto '=https' --retry 5 --retry-connrefused --connect-timeout 30 --speed-limit 1 \\
        --speed-time 60 -o $folder/$file https://huggingface.co/$name/resolve/main/$file
    done
    python3 -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8"))' $folder/vocab.json
  done
}}
stage {_FOLDER} tokenizers "{", ".join(_TOKENIZERS)}"
"""

_CHECK: Final = """code=0
$venv/bin/python - <<'END' || code=$?
import sys
try:
    import accelerate, cv2, tensorboard, torch, torchvision, transformers
except ImportError as error:
    print(f"{sys.prefix} does not work, the next run makes it anew: {error}")
    sys.exit(3)
if not torch.cuda.is_available():
    sys.exit(f"torch {torch.__version__} sees no CUDA GPU: the driver is too old for it, or the GPU is gone")
for index in range(torch.cuda.device_count()):
    torch.ones(1, device=f"cuda:{index}").item()
print(f"installed: torch {torch.__version__} computes on {torch.cuda.device_count()} GPU")
END
if [ $code = 3 ]; then rm -f $venv/.fragua-*; fi
exit $code
"""
