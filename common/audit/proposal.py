"""The strongest settings that together keep enough, as an overlay that the bundle accepts."""

from collections.abc import Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.audit.configured import base_of
from common.audit.scan import Bench, smoothed
from common.audit.sets import TransformationSet, ViewKind
from common.audit.strength import restricted, words_of
from common.report.audit.findings import Estimate
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


@dataclass(frozen=True)
class Tried:
    """Scans at the strengths that they propose, and what these keep together."""

    scans: tuple[Scan, ...]
    chosen: list[Chosen]
    made: TransformationSet
    lesions: Estimate | None
    label: Estimate | None


def propose(transforms: TransformationSet, scans: Sequence[Scan], bench: Bench) -> Proposal | None:
    """Return the strongest settings that together keep enough.

    As long as together they keep too little, the one whose own scan keeps least is made one step
    weaker. Then each that was weakened in vain is put back to the strength that it bears alone.
    Transformations of which nothing can be said (`Bench.decides`) stay as the set has them; None is
    returned where that is all of them.
    """
    decided = [scan for scan in scans if bench.decides(scan.transformation)]
    if not decided:
        return None
    found = _put_back(_weakened(transforms, decided, bench), decided, transforms, bench)
    names = {scan.transformation for scan in decided}
    out = {name for one in found.chosen for name, p in one.probability.items() if p == 0}
    return Proposal(
        words=_words(found.chosen, names),
        left_out=tuple(sorted(out & names)),
        lesions_kept=found.lesions,
        label_kept=found.label,
        info_nce=bench.info_nce(found.made),
        weakened=sum(_step(a) - _step(b) for a, b in zip(decided, found.scans)),
        overlay=overlay_of(transforms, found.chosen, bench) if transforms.bundle else {},
        bundle=transforms.bundle,
        unchanged=tuple(sorted({scan.transformation for scan in scans} - names)),
    )


def _try(transforms: TransformationSet, scans: Sequence[Scan], bench: Bench) -> Tried:
    chosen = [_chosen(transforms, kind, scans) for kind in transforms.kinds]
    made = replace(transforms, kinds=tuple(one.member() for one in chosen))
    return Tried(tuple(scans), chosen, made, *bench.kept(made))


def _weakened(transforms: TransformationSet, scans: Sequence[Scan], bench: Bench) -> Tried:
    tried = _try(transforms, scans, bench)
    while not bench.keeps(tried.lesions, tried.label):
        now = list(tried.scans)
        used = [number for number, scan in enumerate(now) if scan.strongest is not None]
        if not used:
            break
        worst = min(used, key=lambda number: _least(now[number]))
        step = now[worst].strongest or 0
        now[worst] = replace(now[worst], strongest=step - 1 if step else None)
        tried = _try(transforms, now, bench)
    return tried


def _put_back(
    tried: Tried, alone: Sequence[Scan], transforms: TransformationSet, bench: Bench
) -> Tried:
    """Put back what was weakened in vain, those first that alone keep most."""
    weaker = [
        number for number, scan in enumerate(alone) if _step(scan) != _step(tried.scans[number])
    ]
    for number in sorted(weaker, key=lambda number: _least(alone[number]), reverse=True):
        stronger = [*tried.scans[:number], alone[number], *tried.scans[number + 1 :]]
        again = _try(transforms, stronger, bench)
        if bench.keeps(again.lesions, again.label):
            tried = again
    return tried


def _step(scan: Scan) -> int:
    """How many steps a proposal takes of a scan, less one."""
    return -1 if scan.strongest is None else scan.strongest


def _least(scan: Scan) -> tuple[float, float]:
    """What the step in use keeps; where several keep as much, what all steps keep."""
    kept = smoothed(scan.steps)
    return float(kept[scan.strongest or 0]), float(kept.mean())


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
        steps = [_step(scan) for scan in mine]
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


def _words(chosen: Sequence[Chosen], names: Set[str]) -> tuple[str, ...]:
    told: dict[str, None] = {}
    for one in chosen:
        for name, chance in one.probability.items():
            if chance > 0 and name in names:
                words = words_of(name, one.settings[name], chance, one.kind.transform.spatial_dims)
                told[words] = None
    return tuple(told)


def overlay_of(
    transforms: TransformationSet, chosen: Sequence[Chosen], bench: Bench
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
    what = "the label's information" if bench.plain is not None else "the lesions, by geometry"
    told = f"Proposed by an audit: to keep {100 * bench.keep:g} % of {what}."
    return {"_desc_": told, "bundle": transforms.bundle, **changed}


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
