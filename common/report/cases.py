"""Single cases: who was told what, and pictures of the worst errors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report.charts import framed
from common.report.markup import Markup, figure, figure_table, folded, paragraph, pictures, section
from common.report.run import Run
from common.report.schema import CURE, read_arrays

CASES = "cases.npz"
AXES = {"patient": 1, "label": 1, "said": 1, "worst": 1}
MOST = 1000  # most rows of a table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cases:
    """N test images and pictures of some of them.

    Attributes:
        patient: ``(N,)`` the manifest's number of the patient, no name.
        label: ``(N,)`` what is true; NaN or -1 where not known.
        said: ``(N,)`` what the model says, in the same unit or as a probability.
        worst: ``(n,)`` rows of the greatest errors, the greatest first.
        image: ``(n, H, W)`` or ``(n, H, W, 3)`` in [0, 1]; none where images are tables.
    """

    patient: NDArray[Any]
    label: Floats
    said: Floats
    worst: NDArray[np.int64]
    image: Floats


def read_cases(run: Run) -> Cases | None:
    """Read cases.npz; None where it is absent.

    Raises:
        InputError: a damaged archive, or arrays that do not fit together.
    """
    path = run.folder / CASES
    if not path.exists():
        return None
    arrays = read_arrays(path, AXES)
    count, image, worst = len(arrays["patient"]), arrays.get("image"), arrays["worst"]
    require(
        {len(arrays[name]) for name in ("label", "said")} == {count}
        and image is not None
        and len(image) in (0, len(worst))
        and bool((worst < count).all()),
        f"{path}: must hold a label and a value for each patient, a picture for each of the worst, "
        f"got {', '.join(f'{name} {value.shape}' for name, value in arrays.items())}. {CURE}",
    )
    return Cases(
        arrays["patient"],
        arrays["label"].astype(np.float64),
        arrays["said"].astype(np.float64),
        worst.astype(np.int64),
        np.asarray(image, dtype=np.float64) / 255,
    )


def worst_errors(
    run: Run, words: Callable[[float, float], str], nothing: str, of: str = ""
) -> Markup:
    """Return a section with the greatest errors, as pictures where there are any.

    Args:
        run: whose.
        words: (what is true, what was said) -> a sentence.
        nothing: said where there is no error.
        of: the finding, where it must be said.
    """
    cases = read_cases(run)
    if cases is None:
        return Markup()
    errors = [
        (f"patient {cases.patient[row]}", words(cases.label[row], cases.said[row]))
        for row in cases.worst
    ]
    title = f"The {len(errors)} worst errors" if len(errors) > 1 else "The worst errors"
    title += of and f": {of}"
    if not errors:
        return section("worst", title, paragraph(nothing))
    if not len(cases.image):
        return section(
            "worst", title, figure_table("patient", ["error"], [(n, [w]) for n, w in errors])
        )
    shown = [
        figure(framed(image, f"{name}, {said}"), name=name, words=said)
        for image, (name, said) in zip(cases.image, errors)
    ]
    note = "The greatest first. Patients have the numbers of the prepared data; look at the image "
    note += "before blaming the model: a wrong label looks like this too."
    return section("worst", title, pictures(*shown, kind="maps"), paragraph(note, "note"))


def each_patient(
    run: Run, heads: Sequence[str], row: Callable[[Floats, Floats], list[str]], of: str = ""
) -> Markup:
    """Return a table of the patients, folded.

    Args:
        run: whose.
        heads: of the columns after the number of images.
        row: (labels, what was said) of the images of a patient -> the columns.
        of: the finding, where it must be said.
    """
    cases = read_cases(run)
    if cases is None:
        return Markup()
    names, number = np.unique(cases.patient, return_inverse=True)
    rows = []
    for index in np.argsort(names)[:MOST].tolist():
        here = number == index
        rows.append(
            (str(names[index]), [str(here.sum()), *row(cases.label[here], cases.said[here])])
        )
    more = f" The first {MOST} of {len(names)}." if len(names) > MOST else ""
    note = f"Patients have the numbers of the prepared data.{more} All are in {CASES} of the run."
    table = figure_table("patient", ["images", *heads], rows)
    title = f"Results of {len(names)} patients"
    heading = "Each patient" + (of and f": {of}")
    return section("patients", heading, folded(title, paragraph(note, "note"), table))
