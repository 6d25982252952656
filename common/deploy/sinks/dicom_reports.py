"""A DICOM structured report for each DICOM file that was predicted on.

Comprehensive SR with the template "Measurement Report" (TID 1500, DICOM PS3.16): each value is a
measurement, the class that is called a qualitative evaluation, with the source images' UIDs, the
model as the algorithm (with its threshold) and as the observing device. A report belongs to the
patient's study, so it carries what that identifies the patient by; nothing else that is written
does.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

import common
from common.checks import InputError, require
from common.data.dicom_mark import is_dicom
from common.deploy.call_rule import BETWEEN
from common.deploy.prediction import Prediction
from common.deploy.prediction_folder import Sink
from common.deploy.trained_model import TrainedModel
from common.files import replacing

__all__ = ["DicomReports"]

SCHEME = "99MCB"  # a private coding scheme, for what a model was trained to say
SERIES = 9_000
MAY_BE_EMPTY = (  # type 2 in the modules Patient and General Study, PS3.3 C.7.1.1 and C.7.2.1
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
USE = "Research use only; not a medical device."


class DicomReports(Sink):
    """Writes ``<folder>/<SOP instance UID>.dcm`` for each DICOM file; others have no study.

    Of files that share a UID, as copies do and as broken exports do, the first has a report.

    The UIDs follow from those of the source, from the weights and from the calibration, so that
    the same prediction is the same report, and a calibrated one is another.

    Args:
        model: which model says it.
        folder: made when needed.

    Raises:
        InputError: highdicom is not installed.
    """

    def __init__(self, model: TrainedModel, folder: Path) -> None:
        try:
            import highdicom
        except ImportError:
            raise InputError(
                "predict: DICOM reports must be written with highdicom, which is not installed. "
                "pip install 'monai-contrastive-bundles[dicom-sr]', or leave out --sr."
            ) from None
        self.sr: Any = highdicom.sr
        self.codes: Any = codes
        self.model = model
        self.folder = folder
        self._written: dict[str, tuple[Path, ...]] = {}

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write the report of one file, or of the files of one series.

        Raises:
            InputError: the file's header lacks what a report must have, or its UID is another's.
        """
        first = predictions[0]
        if not first.paths or not all(map(is_dicom, first.paths)):
            return
        try:
            with _silent():
                sources = [_header(path) for path in first.paths]
                report = self._report(sources, predictions)
        except Exception as error:  # headers lack or break anything; their text is not quoted
            lacks = f"no {error.name}" if isinstance(error, AttributeError) else "a broken one"
            raise InputError(
                f"{first.file}: must have the header of a DICOM study for a report, got {lacks}. "
                "The prediction itself is kept."
            ) from None
        name = str(report.SOPInstanceUID)
        require(
            self._written.setdefault(name, first.paths) == first.paths,
            f"{first.file}: must have a SOPInstanceUID of its own for a report, got that of "
            "another file, which has the report. The prediction itself is kept.",
        )
        with replacing(self.folder / f"{name}.dcm") as partial:
            report.save_as(partial)

    def _report(self, sources: Sequence[Any], predictions: Sequence[Prediction]) -> Any:
        """Return the dataset of the report."""
        weights = str(self.model.record.get("weights", ""))
        image = str(sources[0].SOPInstanceUID)
        calibration = str(predictions[0].columns.get("calibration", ""))
        about = [self.model.bundle, weights, *filter(None, [calibration])]
        series = generate_uid(entropy_srcs=[*about, sources[0].SeriesInstanceUID])
        report = self.sr.ComprehensiveSR(
            evidence=sources,
            content=self._content(sources, predictions, weights),
            series_number=SERIES,
            series_instance_uid=series,
            sop_instance_uid=generate_uid(entropy_srcs=[*about, image]),
            instance_number=int(sources[0].get("InstanceNumber") or 1),
            manufacturer="monai-contrastive-bundles",
            is_complete=True,
        )
        report.SeriesDescription = f"{self.model.bundle}: research only"[:64]
        return report

    def _content(
        self, sources: Sequence[Any], predictions: Sequence[Prediction], weights: str
    ) -> Any:
        device = self.sr.DeviceObserverIdentifyingAttributes(
            uid=generate_uid(entropy_srcs=[self.model.bundle, weights]), name=self.model.bundle
        )
        observer = self.sr.ObserverContext(
            observer_type=self.codes.DCM.Device, observer_identifying_attributes=device
        )
        content = self.sr.MeasurementReport(
            observation_context=self.sr.ObservationContext(observer_device_context=observer),
            procedure_reported=self.codes.SCT.ImagingProcedure,
            imaging_measurements=[self._group(sources, one, weights) for one in predictions],
        )
        for text in (USE, *_remarks(predictions)):
            comment = self.sr.TextContentItem(
                name=self.codes.DCM.Comment,
                value=text,
                relationship_type=self.sr.RelationshipTypeValues.CONTAINS,
            )
            content[0].ContentSequence.append(comment)
        return content

    def _group(self, sources: Sequence[Any], one: Prediction, weights: str) -> Any:
        """The values of one image, with what they were measured in."""
        classes = self.model.classes(len(one.values))
        kind = "Predicted" if self.model.regression else "Probability of"
        names = [f"{kind} {name}" for name in classes]
        units = self.codes.UCUM
        unit = (
            units.Year if self.model.regression and "predicted_age" in one.values else units.NoUnits
        )
        measurements = [
            self.sr.Measurement(
                name=self.sr.CodedConcept(f"{number}", SCHEME, name[:64]), value=value, unit=unit
            )
            for number, (name, value) in enumerate(zip(names, one.values.values()), start=1)
        ]
        entropy = [self.model.bundle, weights, str(sources[0].SOPInstanceUID), str(one.slice)]
        return self.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self.sr.TrackingIdentifier(
                uid=generate_uid(entropy_srcs=entropy), identifier=self.model.bundle
            ),
            algorithm_id=self.sr.AlgorithmIdentification(
                name=self.model.bundle,
                version=common.__version__,
                parameters=[f"weights {weights}", *self._rule(classes)],
            ),
            measurements=measurements,
            qualitative_evaluations=self._calls(one, classes),
            source_images=[
                self.sr.SourceImageForMeasurementGroup.from_source_image(source)
                for source in sources
            ],
        )

    def _rule(self, classes: Sequence[str]) -> list[str]:
        """How a class is called, in words."""
        rule = self.model.call_rule
        return [] if rule is None else [rule.told(classes)]

    def _calls(self, one: Prediction, classes: Sequence[str]) -> list[Any]:
        """What is called, coded by its number among the outputs; 0 is none of them."""
        called = [text for text in str(one.columns.get("call", "")).split(BETWEEN) if text]
        numbers = [classes.index(text) + 1 if text in classes else 0 for text in called]
        return [
            self.sr.QualitativeEvaluation(
                name=self.sr.CodedConcept("call", SCHEME, "Called"),
                value=self.sr.CodedConcept(f"call{number}", SCHEME, text[:64]),
            )
            for number, text in zip(numbers, called)
        ]


def _header(path: Path) -> Any:
    """Read a header; what may be empty in a study, and was left out of it, is empty."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    for name in MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, "")
    return header


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what libraries say of a header, and quote of it, away from everybody."""
    logger = logging.getLogger("highdicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _remarks(predictions: Sequence[Prediction]) -> list[str]:
    """What is told of the images beside the values, such as warnings."""
    texts = {
        f"{name}: {cell}"
        for one in predictions
        for name, cell in one.columns.items()
        if cell != "" and name != "call"
    }
    return sorted(texts)
