"""``python -m common predict BUNDLE PATHS --output DIR``."""

from collections.abc import Sequence

from common.deploy.commands.arguments import Parser, loaded, write
from common.deploy.prediction_folder import PredictionFolder, Sink
from common.deploy.sinks import DicomReports, StudyFiles

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Predict; return the exit code.

    Raises:
        InputError: no model, or one whose head was never fitted; wrong arguments.
    """
    parser = Parser("predict", "Predict on files with a trained model; writes predictions.csv.")
    parser.add_argument("--table", choices=("csv", "parquet"), default="csv", help="kind of table")
    parser.add_argument("--embeddings", choices=("npz", "zarr"), help="write embeddings too")
    parser.add_argument(
        "--json", action="store_true", help="write FILE.prediction.json beside each file"
    )
    parser.add_argument(
        "--sr",
        action="store_true",
        help="write a DICOM SR for each DICOM file into DIR/sr: part of the patient's study, so it "
        "carries the patient's name and numbers",
    )
    parser.add_argument(
        "--reference",
        metavar="CSV",
        help="ten or more scans of your scanner: columns file, and age (of healthy people) or "
        "label; predictions are calibrated on them",
    )
    options = parser.parse_args(list(words))
    predictor = loaded(options)
    predictor.require_head()
    sinks: list[Sink] = []
    if options.json:
        sinks.append(StudyFiles(predictor.model))
    if options.sr:
        sinks.append(DicomReports(predictor.model, options.output / "sr"))
    notes = predictor.reference(options.reference) if options.reference else {}
    folder = PredictionFolder(options.output, options.table, options.embeddings, sinks, notes=notes)
    code = write(folder, predictor, options)
    for note in notes.values():
        print(note["summary"])
    if options.sr:
        print(
            f"{options.output / 'sr'}: DICOM reports, which carry the patients' names and numbers"
        )
    return code
