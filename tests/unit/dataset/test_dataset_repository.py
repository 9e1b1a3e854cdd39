"""Repositories that a node fetches for itself: the job runs under a real bash and git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from node_workspace import Node

FILES = {"images/a.png": bytes(range(256)), "images/a.txt": b"a cat"}


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    return subprocess.run(
        ["git", "-C", folder, *settings, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(node: Node, tmp_path: Path) -> Path:
    """A repository that https://example.org/cat.git leads to."""
    folder = tmp_path / "cat"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    node.environment |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{folder}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://example.org/cat.git",
    }
    return folder


def commit(repository: Path, files: dict[str, bytes | Path]) -> str:
    for name, content in files.items():
        path = repository / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(content) if isinstance(content, Path) else path.write_bytes(content)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "x")
    return git(repository, "rev-parse", "HEAD")


URL = "https://example.org/cat.git"


def test_a_repository_is_fetched_at_its_commit(node: Node, repository: Path) -> None:
    first = commit(repository, FILES)
    second = commit(repository, {"images/a.txt": b"a dog", "images/b.png": b"b"})

    done = node.fetch(git={"url": URL, "commit": first})

    assert (done.returncode, done.stdout) == (0, "images: 1\n"), done.stderr
    assert node.dataset == FILES
    assert node.fetch(git={"url": URL, "commit": second}).stdout == "images: 2\n"
    assert node.dataset == {**FILES, "images/a.txt": b"a dog", "images/b.png": b"b"}


def test_links_in_a_repository_lead_nowhere(node: Node, repository: Path) -> None:
    found = commit(repository, {**FILES, "images/b.txt": Path("/etc/hostname")})

    node.fetch(git={"url": URL, "commit": found})

    assert node.dataset["images/b.txt"] == b"/etc/hostname"
    assert not (node.workspace / "dataset/images/b.txt").is_symlink()


def test_a_checkout_that_broke_off_is_made_good(node: Node, repository: Path) -> None:
    found = commit(repository, FILES)
    left = node.workspace / "dataset.git"
    (left / "images").mkdir(parents=True)
    (left / "images/a.png").write_bytes(b"half")
    (left / "images/other.png").write_bytes(b"of another commit")

    node.fetch(git={"url": URL, "commit": found})

    assert node.dataset == FILES


def test_a_commit_that_does_not_exist_fails(node: Node, repository: Path) -> None:
    commit(repository, FILES)

    done = node.fetch(git={"url": URL, "commit": "0" * 40})

    assert done.returncode != 0
    assert "0" * 40 in done.stderr
    assert not (node.workspace / "dataset").exists()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


def test_git_lfs_brings_the_content(node: Node, repository: Path) -> None:
    """A stand-in for git-lfs tells when and where it is asked."""
    found = commit(repository, {".gitattributes": b"*.png filter=lfs diff=lfs merge=lfs\n", "a.png": POINTER})
    node.install("git-lfs", '[ "$1" != pull ] || { [ -d .git ] && echo content > a.png; }')

    done = node.fetch(git={"url": URL, "commit": found})

    assert (done.returncode, done.stdout) == (0, "images: 1\n"), done.stderr
    assert node.dataset["a.png"] == b"content\n"


def test_pointers_that_stay_pointers_are_refused(node: Node, repository: Path) -> None:
    found = commit(repository, {"a.png": POINTER, "b.png": b"content"})

    done = node.fetch(git={"url": URL, "commit": found})

    assert (done.returncode, done.stdout) == (1, "Git LFS did not bring the content of ./a.png\n")
    assert not (node.workspace / "dataset").exists()
