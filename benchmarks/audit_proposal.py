"""Does a proposal of the audit train a better encoder than the set that was audited?

    python benchmarks/inserted_lesions.py --source IXI_FOLDER --target TUMOURS --tumours
    python benchmarks/audit_proposal.py --data TUMOURS --out OUT
        [--strategies random] [--seeds 0 1 2] [--set key=value ...]

For each strategy of a learned-transformations bundle: audits its set of transformations on the
training patients of `DIR`, trains with that set and with the overlay that the audit proposes, all
else the same, with every seed, and evaluates both on the test patients as the bundle does
(`strategies.py`). The difference is paired: the same test patients are drawn for both, all seeds
together; its interval is over patients, so that of the training's own chance each seed's difference
tells. Finished audits and runs are kept in OUT. Prints the tables and writes
OUT/audit_proposal.json.
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
from paired_runs import kept, markdown, mean_and_spread, provenance
from strategies import DRAWS, resampled, train_and_evaluate

from common.audit import audit

SETTINGS = {
    "epochs": 12,
    "channels": [8, 16, 32, 64],
    "image_size": 32,
    "learning_rate": 0.002,
    "snapshot_interval": 4,
    "val_interval": 4,
}
IMAGES = 600  # that an audit looks at, of whole patients


def audited(bundle: str, strategy: str, data: Path, size: int) -> dict[str, Any]:
    """All numbers of the audit of a strategy's set on the training patients."""
    sets = [f"{bundle}+strategy_{strategy}"]
    return audit(data, sets, size=size, max_images=IMAGES).to_json()


def proposal_of(bundle: str, strategy: str, data: Path, out: Path, size: int) -> dict[str, Any]:
    """What the audit proposes, its overlay written beside it.

    Raises:
        SystemExit: it proposes nothing.
    """
    made = partial(audited, bundle, strategy, data, size)
    found = kept(out / f"{strategy}_audit.json", made)["sets"][0]
    proposal: dict[str, Any] | None = found["proposal"]
    if proposal is None or not proposal["words"]:
        raise SystemExit(f"{strategy}: the audit proposes no setting for {data}.")
    (out / f"{strategy}_proposal.json").write_text(json.dumps(proposal["overlay"], indent=1) + "\n")
    told = ("words", "left_out", "unchanged", "lesions_kept", "label_kept")
    label = found["label"]
    return {
        "set": list(found["members"][0]["words"]),
        "probability": found["members"][0]["probability"],
        "set_lesions_kept": found["lesions"]["kept"],
        "set_label_kept": None if label is None else label["kept"],
        **{key: proposal.get(key, []) for key in told},
    }


def compared(out: Path, strategy: str, seeds: Sequence[int]) -> dict[str, Any]:
    """AUC of the set and of its proposal, and the paired difference."""
    names = {"default": strategy, "proposal": f"{strategy}_proposed"}
    row: dict[str, Any] = {}
    drawn = []
    for which, name in names.items():
        runs = [out / f"{name}_seed{seed}" for seed in seeds]
        results = [json.loads((run / "evaluation.json").read_text()) for run in runs]
        drawn.append(resampled(runs, DRAWS))
        auc = [result["auc_mean"] for result in results]
        row[which] = {
            "auc": auc,
            "mean": float(np.mean(auc)),
            "std": float(np.std(auc, ddof=1)) if len(auc) > 1 else 0.0,
            "interval": np.quantile(drawn[-1], [0.025, 0.975]).tolist(),
            "lesions_kept": [result["transform"]["lesion_kept"] for result in results],
        }
        for baseline in ("pixels", "untrained"):
            auc = [result["baselines"][baseline]["auc_mean"] for result in results]
            row[baseline] = {"auc": auc, "mean": float(np.mean(auc))}
    each = np.subtract(row["proposal"]["auc"], row["default"]["auc"])
    interval = np.quantile(drawn[1] - drawn[0], [0.025, 0.975])
    return {**row, "difference": {"seeds": each.tolist(), "mean": float(each.mean()),
                                  "interval": interval.tolist()}}  # fmt: skip


def in_a_word(interval: Sequence[float]) -> str:
    """Say which is better, where the interval of the difference says so."""
    low, high = interval
    return "better" if low > 0 else "worse" if high < 0 else "no difference shown"


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The tables as Markdown."""
    heads = ["strategy", "its set, AUC (std over seeds)", "proposal", "difference (95 %)",
             "difference of each seed", "proposal is"]  # fmt: skip
    lines = []
    for row in rows:
        difference = row["difference"]
        low, high = difference["interval"]
        lines.append(
            [
                row["strategy"],
                *(mean_and_spread(row[which]["auc"], 3) for which in ("default", "proposal")),
                f"{difference['mean']:+.3f} ({low:+.3f} to {high:+.3f})",
                ", ".join(f"{value:+.3f}" for value in difference["seeds"]),
                in_a_word(difference["interval"]),
            ]
        )
    keeping = [
        [row["strategy"], which, *(share(row[of][what]) for what in ("lesions", "label"))]
        for row in rows
        for which, of in (("its set", "set_kept"), ("proposal", "proposal_kept"))
    ]
    return "\n\n".join(
        [
            markdown(heads, lines),
            markdown(["strategy", "views of", "lesions kept", "label kept"], keeping),
            f"Pixels {rows[0]['pixels']['mean']:.3f}, untrained encoder "
            f"{rows[0]['untrained']['mean']:.3f}.",
        ]
    )


def share(estimate: dict[str, Any] | None) -> str:
    """An estimate of the audit as per cent."""
    if estimate is None or estimate["value"] is None:
        return "not known"
    words = f"{100 * estimate['value']:.0f} %"
    if estimate["low"] is None:
        return words
    return f"{words} ({100 * estimate['low']:.0f} to {100 * estimate['high']:.0f})"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", default="brain_mri_learned_transforms")
    parser.add_argument("--strategies", nargs="+", default=["random"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    given = {key: json.loads(value) for key, value in (one.split("=", 1) for one in options.set)}
    settings = {**SETTINGS, **given}
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rows = []
    for strategy in options.strategies:
        where = (options.bundle, strategy, options.data, options.out)
        told = proposal_of(*where, settings["image_size"])
        overlay = options.out / f"{strategy}_proposal.json"
        for seed in options.seeds:
            for name, own in ((strategy, None), (f"{strategy}_proposed", overlay)):
                job = (options.bundle, name, seed, options.data, options.out, settings)
                print(train_and_evaluate(*job, own), flush=True)
        set_kept = {what: told.pop(f"set_{what}_kept") for what in ("lesions", "label")}
        proposal_kept = {what: told.pop(f"{what}_kept") for what in ("lesions", "label")}
        row = {"strategy": strategy, **told, "set_kept": set_kept, "proposal_kept": proposal_kept}
        rows.append({**row, **compared(options.out, strategy, options.seeds)})
    result = {**provenance(), "settings": settings, "seeds": options.seeds, "rows": rows}
    (options.out / "audit_proposal.json").write_text(json.dumps(result, indent=1) + "\n")
    print(text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
