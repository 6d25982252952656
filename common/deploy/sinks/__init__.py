"""What may be written for each file beside the tables.

- `StudyFiles`: a JSON beside the file;
- `DicomReports`: a DICOM structured report of its study.
"""

from common.deploy.sinks.dicom_reports import DicomReports
from common.deploy.sinks.study_files import StudyFiles

__all__ = ["DicomReports", "StudyFiles"]
