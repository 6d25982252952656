"""A small model of brain slices, as a bundle deploys it, and its predictor."""

from pathlib import Path

import pytest

import common
from common.deploy import Predictor
from tests.models import SLICES, deployed


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return deployed(tmp_path_factory.mktemp("models"))


@pytest.fixture
def predictor(model: Path) -> Predictor:
    return common.load(SLICES, model)
