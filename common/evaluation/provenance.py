"""What a result was made with."""

import platform
from importlib.metadata import version

import torch

__all__ = ["versions"]

_PACKAGES = ("monai-contrastive-bundles", "torch", "monai", "pytorch-ignite", "scikit-learn")


def versions() -> dict[str, str]:
    """Return the versions of Python and the packages a number depends on, and the processor."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in _PACKAGES}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return found | {"device": device, "threads": str(torch.get_num_threads())}
