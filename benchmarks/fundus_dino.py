"""DINO on fundus photographs with strong, weak and weak + medical augmentation, at a small size.

593 photographs of 299 people (Srahim; advanced eye disease, which has no grade, left out), retina
of grade 2 or more against the rest. The people are in five folds; seed k tests fold k, validates on
the next, trains its probes on the other three, and pre-trains, without labels, on all but fold k.
The seed also draws the initial weights, the same for all settings. Views are those of the bundle
`fundus_photo_dino`, read from its configuration, at 48 (global) and 24 pixels (local) instead of
224 and 96, two local ones instead of eight, and with a blur as much smaller as the global ones;
encoder, steps and rates are the same for all settings.

Two probes of the teacher's class tokens of the last four blocks: "SGD", the paper's (50 epochs on
random crops, best epoch by validation AUROC), and "logistic", regression on the standardised tokens
of all but the tested fold, C by cross-validation by person. Beside them the untrained encoder, and
pixels (48 a side, 50 principal components). Then Fig. 2 of the paper: distances of positive and
negative pairs and the silhouette of images as groups of views, on the tested fold, with the views
of each setting's own augmentation and with those of "weak" for all.

    python benchmarks/fundus_dino.py --data DIR --out OUT [--settings ...] [--seeds 0 1 2 3 4]
    python benchmarks/fundus_dino.py --data DIR --out OUT --diagnose [TRIAL ...]

`DIR` holds the folder fundus_dr_srahim. Finished runs are kept in OUT, so an interrupted comparison
continues. Prints the tables and writes OUT/fundus_dino.json. Intervals: 95 %, people and seeds
drawn with replacement, the same draws for both sides of a difference; p: repeated-measures analysis
of variance over the seeds, as in the paper.

``--diagnose`` trains the trials of `fundus_signs` and prints what was learnt of the training
photographs (OUT/fundus_dino_trials.json); `fundus_teacher.SETTINGS` were chosen by these signs,
without labels. The comparison prints them for its own runs too.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fundus_eyes import FOLDS, Eyes, load, parts
from fundus_figures import STRENGTHS, report, summary
from fundus_signs import TRIALS, signs, table, trial
from fundus_teacher import SETTINGS, method, pretrain, unlabelled, views
from paired_runs import kept, provenance
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from common.metrics.augmentation_groups import augmentation_groups
from common.metrics.sgd_probe import fit_sgd_probe
from common.transforms.photo import resized_crop

Array = np.ndarray


@torch.no_grad()
def encoded(backbone: nn.Module, x: Tensor) -> Tensor:
    """Representation (N, 4 width) of images as bytes or in [0, 1]."""
    backbone.eval()
    wide = x.float() / 255 if x.dtype == torch.uint8 else x
    return torch.cat([backbone(part) for part in wide.split(128)])


def crops(x: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops of the probe's training: 8 to 100 % of the image, as torchvision's default."""
    lam = torch.rand(len(x), 4, generator=generator)
    return resized_crop(
        x.float() / 255, lam, scale=(0.08, 1.0), size=SETTINGS["global"], antialias=True
    )


def sgd_scores(backbone: nn.Module, eyes: Eyes, seed: int) -> list[float]:
    """Probability of grade 2 or more of each tested photograph, by the paper's probe."""
    rows = parts(eyes, seed)
    generator = torch.Generator().manual_seed(seed)
    x = eyes.x[torch.from_numpy(rows.train)]
    held = [encoded(backbone, eyes.centre[torch.from_numpy(r)]) for r in rows[1:]]
    probe = fit_sgd_probe(
        lambda: encoded(backbone, crops(x, generator)),
        eyes.y[rows.train],
        held[0],
        eyes.y[rows.validation],
        2,
        epochs=SETTINGS["probe_epochs"],
        seed=seed,
    )
    return probe.probabilities(held[1])[:, 1].tolist()


def logistic_scores(h: Array, eyes: Eyes, seed: int, *steps: Any) -> list[float]:
    """Decision value of each tested photograph; C by cross-validation over the other people."""
    rows = parts(eyes, seed)
    model = make_pipeline(StandardScaler(), *steps, LogisticRegression(max_iter=500, tol=1e-3))
    grid = {"logisticregression__C": 10.0 ** np.arange(-5, 2)}
    search = GridSearchCV(model, grid, cv=GroupKFold(5), scoring="roc_auc")
    search.fit(h[rows.rest], eyes.y[rows.rest], groups=eyes.person[rows.rest])
    return search.decision_function(h[rows.test]).tolist()


def both_probes(backbone: nn.Module, eyes: Eyes, seed: int) -> dict[str, Any]:
    h = encoded(backbone, eyes.centre).double().numpy()
    return {
        "SGD": sgd_scores(backbone, eyes, seed),
        "logistic": logistic_scores(h, eyes, seed),
    }


def pixel_scores(eyes: Eyes, seed: int) -> dict[str, Any]:
    small = nn.functional.interpolate(eyes.x.float() / 255, size=48, mode="area")
    h = small.flatten(1).double().numpy()
    return {"logistic": logistic_scores(h, eyes, seed, PCA(50, random_state=0))}


def figure_two(backbone: nn.Module, eyes: Eyes, strength: str, seed: int) -> dict[str, float]:
    """Mean distances and silhouette of ten first global views of 60 tested photographs."""
    torch.manual_seed(seed)
    group = views(strength).get_parsed_content("global_views")[0]
    x = eyes.x[torch.from_numpy(parts(eyes, seed).test[:60])].float() / 255
    drawn = [encoded(backbone, group(x)[0])[:, -SETTINGS["width"] :] for _ in range(10)]
    groups = augmentation_groups(torch.stack(drawn, dim=1).numpy())
    return {
        "positive": float(groups.positive.mean()),
        "negative": float(groups.negative.mean()),
        "silhouette": groups.silhouette,
    }


def run(eyes: Eyes, model: str, seed: int) -> dict[str, Any]:
    """Scores of the tested fold by each probe, Fig. 2, signs of the training photographs."""
    if model == "pixels":
        return pixel_scores(eyes, seed)
    own = model if model in STRENGTHS else "weak"
    network, history = method(own, seed), {}
    if model != "untrained":
        network, history = pretrain(eyes, model, seed)
    backbone = network.classifier.encoder
    x = unlabelled(eyes, seed)
    result = both_probes(backbone, eyes, seed) | history
    for name in dict.fromkeys([own, "weak"]):
        result[f"views {name}"] = figure_two(backbone, eyes, name, seed)
        result[f"signs {name}"] = signs(network, x, name)
    return result


def compare(eyes: Eyes, out: Path, settings: Sequence[str], seeds: Sequence[int]) -> None:
    """Run what is not there yet, print the tables and write the figures."""
    runs: dict[str, list[Any]] = {
        model: [
            kept(out / f"{model} {seed}.json", partial(run, eyes, model, seed)) for seed in seeds
        ]
        for model in ("pixels", "untrained", *settings)
    }
    result = {**provenance(), "settings": SETTINGS, "seeds": seeds, **summary(eyes, runs, seeds)}
    (out / "fundus_dino.json").write_text(json.dumps(result, indent=1) + "\n")
    print(report(result))


def diagnose(data: Path, out: Path, names: Sequence[str]) -> None:
    """The same for the trials."""
    trials = {name: kept(out / f"trial {name}.json", partial(trial, data, name)) for name in names}
    result = {**provenance(), "trials": trials}
    (out / "fundus_dino_trials.json").write_text(json.dumps(result, indent=1) + "\n")
    print(table(trials))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", nargs="*", choices=STRENGTHS, default=list(STRENGTHS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(FOLDS)))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of SETTINGS")
    parser.add_argument("--diagnose", nargs="*", choices=TRIALS, help="signs of trials instead")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.diagnose is not None:
        diagnose(options.data, options.out, options.diagnose or list(TRIALS))
        return 0
    SETTINGS.update({key: json.loads(value) for key, value in (s.split("=") for s in options.set)})
    eyes = load(options.data, SETTINGS["image"], SETTINGS["global"])
    compare(eyes, options.out, options.settings, options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
