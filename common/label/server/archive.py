"""A DICOMweb archive: its series become folders of the studies, and labels stay in the studies.

MONAI Label's own datastore keeps the labels of an archive as DICOM SEG in it, which a label of a
whole image is not; so series are fetched (QIDO-RS, WADO-RS), and nothing is ever sent. A log-in is
the one of ``~/.netrc``.
"""

import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from common.checks import InputError

__all__ = ["FOLDER", "fetch"]

FOLDER = "dicomweb"  # of the studies
STUDY, SERIES = "0020000D", "0020000E"  # Study and Series Instance UID


def fetch(
    address: str, query: Mapping[str, str], studies: Path, say: Callable[[str], None] = print
) -> int:
    """Fetch the series that are not there yet; return how many were.

    Each becomes a folder ``dicomweb/<hash of its UID>`` of files ``1.dcm``, ``2.dcm``. A series
    that cannot be fetched is counted, left out, and tried again the next time.

    Args:
        address: of the archive, as ``https://pacs.example/dicom-web``.
        query: attributes that the series must have, as ``{"Modality": "DX"}``.
        studies: the folder of the studies.
        say: told how many came.

    Raises:
        InputError: the archive does not answer.
    """
    from dicomweb_client import DICOMwebClient

    try:
        client = DICOMwebClient(address)
        client.set_http_retry_params(retry=False)  # else a wrong address is told after 30 s
        found = client.search_for_series(search_filters=dict(query), get_remaining=True)
        uids = [(_first(one, STUDY), _first(one, SERIES)) for one in found]
    except Exception as error:  # of requests, of its reader of JSON, or what the archive made up
        raise InputError(
            f"dicomweb: the archive must answer a search for series, got {type(error).__name__}. "
            "Is --dicomweb its address, --query right, and its log-in in ~/.netrc?"
        ) from None
    made = failed = 0
    for study, series in uids:
        target = studies / FOLDER / sha256(series.encode()).hexdigest()[:16]
        if target.is_dir():
            continue
        try:
            _keep(client.retrieve_series(study, series), target)
            made += 1
        except Exception:  # one series does not stop the others
            failed += 1
    lost = f", {failed} could not be fetched" if failed else ""
    say(f"dicomweb: {len(uids)} series in the archive, {made} new{lost}")
    return made


def _keep(instances: Any, target: Path) -> None:
    partial = target.with_name(f".{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for number, instance in enumerate(instances, 1):
        instance.save_as(partial / f"{number}.dcm", enforce_file_format=True)
    partial.rename(target)


def _first(series: Mapping[str, Any], tag: str) -> str:
    return str(series[tag]["Value"][0])
