"""Raw heads to the template: overlap, correlation and processor seconds of each, at 1 mm.

    python benchmarks/brain_t1_prep.py --heads FOLDER --out OUT

prepares every ``*_T1w.nii.gz`` of the folder, prints the table and writes OUT/brain_t1_prep.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import SimpleITK as sitk
import torch
from paired_runs import markdown, provenance

from common.data.brain_t1 import BrainPreparation, prepare_brain

SPACING_MM = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    preparation, rows = BrainPreparation("tissue", SPACING_MM), []
    files = sorted(options.heads.glob("*_T1w.nii.gz"))
    prepare_brain(files[0], preparation)  # loads the template and the network, once for all
    for path in files:
        started = time.process_time()
        brain = prepare_brain(path, preparation)
        seconds = round(time.process_time() - started, 1)
        rows.append({**brain.quality, "flags": list(brain.flags), "seconds": seconds})
    ends = {
        name: {"least": min(row[name] for row in rows), "most": max(row[name] for row in rows)}
        for name in ("overlap", "correlation", "volume_ml", "seconds")
    }
    result = {**provenance(), "spacing_mm": SPACING_MM, "heads": rows, "ends": ends}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "brain_t1_prep.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = [[name, f"{end['least']:g}", f"{end['most']:g}"] for name, end in ends.items()]
    print(markdown(["of a head", "least", "most"], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
