"""What a proposal takes, weakens and puts back, and where it declines."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from common.audit import audit
from common.audit.proposal import propose
from common.audit.scan import Bench, smoothed
from common.audit.sets import TransformationSet, as_set
from common.policies import EachWithProbability
from common.report.audit.result import Estimate, Scan, Step
from common.transforms import Composition

ORDER = ["blur", "noise", "rotate"]


def scan(name: str, *shares: float) -> Scan:
    settings = {"blur": "max_sigma", "noise": "max_std"}
    steps = [
        Step(
            strength=(number + 1) / len(shares),
            words="",
            settings={settings[name]: float(number + 1)} if name in settings else {},
            probability=1.0 if name in settings else (number + 1) / len(shares),
            lesions_kept=None,
            label_kept=Estimate(share),
            info_nce=0.0,
            keeps=True,
        )
        for number, share in enumerate(shares)
    ]
    return Scan(member="views", transformation=name, steps=tuple(steps), strongest=len(steps) - 1)


@dataclass(frozen=True, kw_only=True)
class Scripted(Bench):
    """Together the label is kept unless more than half of the images are rotated."""

    def kept(self, transforms: TransformationSet) -> tuple[Estimate | None, Estimate | None]:
        rotated = transforms.kinds[0].probability[ORDER.index("rotate")]
        return None, Estimate(1.0 if rotated <= 0.5 else 0.4)

    def info_nce(self, transforms: TransformationSet | None) -> float:
        return 0.0


def bench(told: Any = True) -> Bench:
    nothing: Any = None
    return Scripted(
        images=nothing, batch=nothing, label=nothing, plain=told, encoder=nothing, keep=0.9,
        temperature=0.1, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("blurred", [1.0, 0.95])  # as much as all; least, so weakened in vain
def test_only_what_takes_too_much_together_is_weaker_in_the_end(blurred: float) -> None:
    transform = Composition(ORDER)
    given = as_set((EachWithProbability(1.0, transform.sizes), transform), "set")
    scans = [scan("blur", 1, blurred), scan("noise", 1, 1), scan("rotate", 1, 0.98)]
    found = propose(given, scans, bench())
    assert found is not None
    assert (found.weakened, found.left_out) == (1, ())
    assert found.words[0] == "blur 0 px to 2 px"
    assert found.words[2].endswith("50 % of the images")


def test_one_noisy_step_does_not_stop_a_scan() -> None:
    found = smoothed(scan("blur", 1.0, 0.85, 0.97, 0.3).steps)
    np.testing.assert_allclose(found, [1.0, 0.91, 0.91, 0.3])


def test_nothing_known_is_not_kept() -> None:
    assert not bench().keeps(None, None)
    assert bench().keeps(None, Estimate(0.9))


def images(label: Any, mask: bool) -> Any:
    rng = np.random.default_rng(1)
    x = rng.uniform(0.2, 0.8, (24, 1, 16, 16)).astype(np.float32)
    outlined = np.zeros_like(x)
    outlined[:, :, 4:8, 4:8] = 1
    transform = Composition(["mirror", "blur"], settings={"mirror": {"axes": [1]}})
    given = (EachWithProbability(1.0, transform.sizes), transform)
    columns = {} if label is None else {"label": label}
    return audit(x, [given], columns=columns, mask=outlined if mask else None)


def test_lesions_alone_say_nothing_of_blur() -> None:
    found = images(None, mask=True).sets[0]
    assert found.proposal.unchanged == ("blur",)
    assert [one.strongest for one in found.scans] == [3, None]
    assert not found.scans[1].steps[0].keeps


def test_a_label_that_is_not_clearly_told_has_no_proposal_and_a_note() -> None:
    found = images(np.arange(24) % 2, mask=False)
    assert found.sets[0].proposal is None
    assert sum(note.startswith("No setting is proposed for the label") for note in found.notes) == 1
    assert not any(step.keeps for scan in found.sets[0].scans for step in scan.steps)
