"""The strongest settings that together keep enough, as an overlay that the bundle accepts."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.audit.configured import base_of
from common.audit.scan import Bench
from common.audit.sets import TransformationSet, ViewKind
from common.audit.strength import restricted, words_of
from common.report.audit.strengths import Proposal, Scan
from common.transforms import Composition

__all__ = ["propose"]


@dataclass(frozen=True)
class Chosen:
    """Settings and probability of each transformation of a kind; of what is left out, 0."""

    kind: ViewKind
    settings: dict[str, dict[str, Any]]
    probability: dict[str, float]

    def member(self) -> ViewKind:
        """Return the kind of views that it makes."""
        return restricted(self.kind, self.settings, self.probability)


def propose(transforms: TransformationSet, scans: Sequence[Scan], bench: Bench) -> Proposal | None:
    """Return the strongest settings that together keep enough; None where there are none to turn.

    As long as together they keep too little, the one that keeps least is made one step weaker.
    """
    if not scans or (bench.plain is None and bench.images.mask is None):
        return None
    scans, weakened = list(scans), 0
    while True:
        chosen = [_chosen(transforms, kind, scans) for kind in transforms.kinds]
        made = replace(transforms, kinds=tuple(one.member() for one in chosen))
        lesions, label = bench.kept(made)
        used = [number for number, scan in enumerate(scans) if scan.strongest is not None]
        if bench.keeps(lesions, label) or not used:
            break
        worst = min(used, key=lambda number: _least(scans[number]))
        step = scans[worst].strongest or 0
        scans[worst] = replace(scans[worst], strongest=step - 1 if step else None)
        weakened += 1
    left_out = {name for one in chosen for name, p in one.probability.items() if p == 0}
    return Proposal(
        words=_words(chosen),
        left_out=tuple(sorted(left_out & {scan.transformation for scan in scans})),
        lesions_kept=lesions,
        label_kept=label,
        info_nce=bench.info_nce(made),
        weakened=weakened,
        overlay=overlay_of(transforms, chosen, bench.keep) if transforms.bundle else {},
        bundle=transforms.bundle,
    )


def _least(scan: Scan) -> float:
    """The smaller of the shares that the step in use keeps."""
    step = scan.steps[scan.strongest or 0]
    return min(one.value for one in (step.lesions_kept, step.label_kept) if one is not None)


def _chosen(transforms: TransformationSet, kind: ViewKind, scans: Sequence[Scan]) -> Chosen:
    """Settings of a kind; where kinds share a composition, the weaker one of each setting."""
    shared = [one.name for one in transforms.kinds if one.transform is kind.transform]
    settings, probability = {}, {}
    for name, own in zip(kind.transform.order, kind.probability):
        alike = [scan for scan in scans if scan.transformation == name]
        mine = [scan for scan in alike if scan.member in shared] or alike
        given = dict(kind.transform.settings.get(name, {}))
        settings[name], probability[name] = given, own
        if own == 0 or not mine:
            continue
        steps = [-1 if scan.strongest is None else scan.strongest for scan in mine]
        weakest = mine[int(np.argmin(steps))]
        if min(steps) >= 0:
            step = weakest.steps[min(steps)]
            settings[name] = dict(step.settings)
            probability[name] = own if step.probability == 1 else step.probability
        elif given.get("size") and name == "resized_crop":  # it gives views their size
            settings[name] = {**given, "scale": [1.0, 1.0]}
        else:
            probability[name] = 0.0
    return Chosen(kind, settings, probability)


def _words(chosen: Sequence[Chosen]) -> tuple[str, ...]:
    told: dict[str, None] = {}
    for one in chosen:
        for name, chance in one.probability.items():
            if chance > 0:
                told[words_of(name, one.settings[name], chance)] = None
    return tuple(told)


def overlay_of(
    transforms: TransformationSet, chosen: Sequence[Chosen], keep: float
) -> dict[str, Any]:
    """Return an overlay that has these settings, for the train.json of the set's bundle.

    What the set's own overlays changed stays changed. A network M is replaced: it could choose what
    keeps too little.
    """
    config = deepcopy(dict(transforms.config))
    base = base_of(transforms.bundle)
    for one in chosen:
        made = one.member()
        assert isinstance(made.transform, Composition)
        dims = {"spatial_dims": 3} if made.transform.spatial_dims == 3 else {}
        transform = {
            "_target_": "common.transforms.Composition",
            "order": list(made.transform.order),
            **dims,
            "settings": made.transform.settings,
        }
        policy = {
            "_target_": "common.policies.EachWithProbability",
            "probability": list(made.probability),
            "sizes": list(made.transform.sizes),
        }
        _put(config, one.kind.place, {"transform": transform, "policy": policy})
    if any(one.kind.chooser in ("learned", "untrained") for one in chosen):
        config |= {key: 0.0 for key in ("alpha_3", "alpha_4") if key in config}
    if isinstance(config.get("run_suffix"), str) and not config["run_suffix"].startswith("$"):
        config["run_suffix"] += "_proposed"
    changed = {key: value for key, value in config.items() if base.get(key) != value}
    told = f"Proposed by an audit: to keep {100 * keep:g} % of the label's information."
    return {**changed, "_desc_": told}


def _put(config: dict[str, Any], place: str, blocks: Mapping[str, Any]) -> None:
    value: Any = config
    for step in place.split("#"):
        value = value[int(step)] if isinstance(value, list) else value[step]
    for key, block in blocks.items():
        named = value[key]
        if isinstance(named, str) and named.startswith("@"):
            config[named[1:]] = block
        else:
            value[key] = block
