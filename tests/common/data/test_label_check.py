"""Training does not start on labels it cannot learn from."""

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from torch import nn

from common.checks import InputError
from common.data.label_check import check_labels, spare_outputs
from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.kernels import Gaussian
from common.losses import KernelContrastive
from common.methods import Contrastive, Supervised
from common.networks import ImageClassifier


class Images:
    def __init__(self, **columns: list[Any]) -> None:
        count = len(next(iter(columns.values())))
        self.entries = [{name: columns[name][i] for name in columns} for i in range(count)]
        self.columns = tuple(columns)


@pytest.mark.bad_input("labels")
@pytest.mark.parametrize(
    ("dataset", "needs", "outputs", "words"),
    [
        (Images(label=[0, 1, 2]), (), 1, "label: must be 0 to 1 .* 1 output, got 2"),
        (Images(label=[0, 10]), (), 10, "label: must be 0 to 9 .* 10 outputs, got 10"),
        (Images(label=[-1, -1]), ("label",), 1, "label: must be known of some of the 2"),
        (Images(label=[1, -1, 1]), ("label",), 1, "label: must be of two classes"),
        (Images(age=[40.0, -9999]), ("age",), 1, "age: must be years from 0 to 120.*got -9999"),
        (Images(age=[None, float("nan")]), ("age",), 1, "age: must be known of some of the 2"),
    ],
    ids=["third class", "eleventh class", "no label", "one class", "age code", "no age"],
)
def test_labels_that_cannot_be_learned_are_refused(
    dataset: Images, needs: tuple[str, ...], outputs: int, words: str
) -> None:
    with pytest.raises(InputError, match=words) as error:
        check_labels(dataset, needs, outputs)
    assert "\n" not in str(error.value)


@pytest.mark.bad_input("labels")
def test_a_kernel_on_age_starts_only_when_every_age_is_known() -> None:
    words = "^age: must be known of every one of the 3 .*got 1 without. Take those out"
    with pytest.raises(InputError, match=words):
        check_labels(Images(age=[30.0, None, 40.0]), ("age",), 1, ("age",))
    check_labels(Images(age=[30.0, 40.0]), ("age",), 1, ("age",))
    loss = KernelContrastive(Gaussian(2.0), 0.1)
    method = Contrastive(ImageClassifier(nn.Flatten(), 4), loss=loss, columns={"y": "age"})
    assert method.needs_of_all() == ("age",)


@pytest.mark.parametrize(
    ("dataset", "needs"),
    [
        (Images(label=[0, 1, -1]), ("label",)),
        (Images(label=[-1, -1]), ()),
        (Images(age=[30.0, None]), ("age", "age_group")),
        (Images(prior=[np.ones(3, np.float32), np.zeros(3, np.float32)]), ("prior",)),
        ([{"image": 1}], ("label",)),
    ],
    ids=["some labelled", "none needed", "some ages", "rows of a prior", "a list of batches"],
)
def test_what_can_be_learned_is_let_through(dataset: Any, needs: tuple[str, ...]) -> None:
    check_labels(dataset, needs, 1)


@pytest.mark.bad_input("labels")
def test_supervised_training_on_unlabelled_images_is_refused_at_its_start() -> None:
    method = Supervised(ImageClassifier(nn.Flatten(), 4))
    data = Dataset([{"image": torch.rand(1, 2, 2), "label": -1} for _ in range(4)])
    optimizers = PhaseOptimizers(method, {"encoder": 0.1})
    trainer = ContrastiveTrainer("cpu", 1, DataLoader(data, batch_size=2), method, optimizers)
    with pytest.raises(InputError, match="label: must be known of some of the 4"):
        trainer.run()
    assert trainer.state.iteration == 0


@pytest.mark.bad_input("labels")
def test_more_outputs_than_classes_are_said_in_a_line() -> None:
    line = spare_outputs(["cat", "dog", "fox"], 10)
    assert "3 classes, the network 10 outputs" in line
    assert line.endswith("Give --num_classes 3 where the bundle has it.")
    assert spare_outputs(["well", "ill"], 1) == spare_outputs([], 10) == ""
    assert spare_outputs(["a", "b", "c"], 3) == ""
