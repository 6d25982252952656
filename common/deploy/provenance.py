"""What a result was made with."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

import common

__all__ = ["versions"]

_OURS = "monai-contrastive-bundles"
_PACKAGES = ("torch", "monai", "pytorch-ignite", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python and the packages a number depends on, device and commit."""
    facts = {"python": platform.python_version()}
    facts[_OURS] = common.__version__  # which need not be installed
    facts |= _installed()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    facts |= {"device": device, "threads": str(torch.get_num_threads())}
    commit = _commit()
    return facts | ({"commit": commit} if commit else {})


@cache  # what is imported stays as it was
def _installed() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


@cache
def _commit() -> str:
    """Commit of the checkout this file is tracked in, "+" behind it with changes; else nothing."""
    here = Path(__file__)
    if not _git(here, "ls-files", here.name):
        return ""
    changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    return _git(here, "rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _git(here: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=here.parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
