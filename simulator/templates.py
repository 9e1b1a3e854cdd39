"""Templates: named presets for a create call. A template's hash is the hash of its content."""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import TYPE_CHECKING, Any

from simulator.errors import invalid_args

if TYPE_CHECKING:
    from simulator.store import Store

KIND = "template"
FIELDS: dict[str, Any] = {
    "name": None, "image": None, "tag": None, "env": "", "onstart": "", "runtype": "args",
    "ssh_direct": False, "jup_direct": False, "use_ssh": False, "use_jupyter_lab": False,
    "jupyter_dir": None, "docker_login_repo": None, "extra_filters": {},
    "recommended_disk_space": 10.0, "desc": "", "readme": "", "readme_visible": True,
    "args_str": "", "href": "", "repo": "", "private": False, "volume_info": None,
}  # fmt: skip
"""What a template has, with the defaults of the API."""
PUBLIC = (
    ("PyTorch (Vast)", "vastai/pytorch", "2.7.1-cu128-cuda-12.9-mini-py311", 32.0, ""),
    ("ComfyUI", "vastai/comfy", "v0.8.2-cuda-12.9-py312", 40.0, "-p 8188:8188 -p 1111:1111"),
    ("Kohya's GUI", "vastai/kohya", "latest", 60.0, "-p 7860:7860 -p 1111:1111"),
    ("NVIDIA CUDA", "nvidia/cuda", "12.8.1-devel-ubuntu22.04", 16.0, ""),
)


class Templates:
    """The account's templates and the public ones."""

    def __init__(self, store: Store) -> None:
        """Read what the store has; a new store gets the public templates."""
        self._store = store
        if store.setting("next template") is None:
            for name, image, tag, disk, env in PUBLIC:
                fields = {"name": name, "image": image, "tag": tag, "env": env, "use_ssh": True}
                fields |= {"ssh_direct": True, "runtype": "ssh", "recommended_disk_space": disk}
                fields |= {"onstart": "entrypoint.sh"}
                self.create(fields, creator=1, at=0.0)

    def every(self) -> list[dict[str, Any]]:
        """Return all templates by id."""
        return [template for _, template in self._store.load(KIND)]

    def by_hash(self, hash_id: Any) -> dict[str, Any] | None:
        """Return the template with this hash."""
        return next((t for t in self.every() if t["hash_id"] == hash_id), None)

    def by_id(self, number: Any) -> dict[str, Any] | None:
        """Return the template with this id."""
        return next((t for t in self.every() if t["id"] == number), None)

    def create(self, fields: dict[str, Any], *, creator: int, at: float) -> dict[str, Any]:
        """Return a new template, or the one that has exactly this content."""
        content = {name: fields.get(name, default) for name, default in FIELDS.items()}
        existing = self.by_hash(_hash(content, creator))
        if existing is not None:
            return existing
        template = {
            "id": self._store.next_id(KIND, 60_001),
            "hash_id": _hash(content, creator),
            "creator_id": creator,
            "created_at": at,
            "count_created": 0,
            "recent_create_date": at,
            "recommended": creator == 1,
            "default_tag": content["tag"],
            **content,
        }
        self._store.save(KIND, template["id"], template)
        return template

    def edit(self, template: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        """Return the template with some fields changed: the id stays, the hash does not."""
        edited = {**template, **{k: v for k, v in fields.items() if k in FIELDS}}
        content = {name: edited[name] for name in FIELDS}
        edited["hash_id"] = _hash(content, template["creator_id"])
        self._store.save(KIND, edited["id"], edited)
        return edited

    def delete(self, number: int) -> None:
        """Forget a template."""
        self._store.delete(KIND, number)

    def defaults(self, hash_id: Any) -> dict[str, Any]:
        """Return what a template gives to a create body.

        Raises:
            APIError: 400 `invalid_args` for an unknown hash.
        """
        template = self.by_hash(hash_id)
        if template is None:
            raise invalid_args(f"template_hash_id: there is no template {hash_id!r}.")
        runtype = "ssh_direct" if template["ssh_direct"] else template["runtype"]
        tag = f":{template['tag']}" if template["tag"] else ""
        return {
            "image": f"{template['image']}{tag}",
            "env": parse_docker_flags(template["env"] or ""),
            "onstart": template["onstart"] or None,
            "args_str": template["args_str"] or None,
            "disk": template["recommended_disk_space"],
            "runtype": runtype,
            "template": {name: template[name] for name in ("id", "hash_id", "name")},
        }


def parse_docker_flags(text: str) -> dict[str, str]:
    """Return a template's docker flags as the object that a create call takes."""
    env: dict[str, str] = {}
    words = iter(shlex.split(text))
    for word in words:
        value = next(words, "")
        if word in ("-e", "--env"):
            name, _, content = value.partition("=")
            env[name] = content
        elif word in ("-p", "-v"):
            env[f"{word} {value}"] = "1"
        elif word in ("-h", "--hostname"):
            env["-h"] = value
    return env


def _hash(content: dict[str, Any], creator: int) -> str:
    text = json.dumps([creator, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
