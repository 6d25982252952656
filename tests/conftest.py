"""What every test shares: one thread, and where the real images are."""

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images, which the repository does not hold."""
    folder = Path(os.environ.get("CONTRASTIVE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; set CONTRASTIVE_TEST_DATA to their folder")
    return folder
