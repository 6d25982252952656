"""BraTS volumes (NIfTI) as axial slices, labelled by whether tumour is in them.

Reads the layouts of BraTS 2018 (``HGG/<id>/<id>_flair.nii.gz``), 2020 and 2021
(``<id>/<id>_flair.nii.gz``) and 2023 (``<id>/<id>-t2f.nii.gz``), packed or not, at any depth. The
paper (section 2.3) keeps slices with less than 80 % black pixels, splits by patient and holds out
three test sets of 1 000 slices.

Each volume is scaled so that the 99.5th percentile of its non-zero voxels becomes 1; a slice is
written front on top with the patient's right on the left, as `common.data.read_image` shows it.
Black is judged on the first modality. Patients become p0001, p0002, ...; the two or more scans of
one patient of BraTS 2023 (``BraTS-GLI-00005-000``, ``-001``) stay together.

Counts to expect: 34 000 slices in all (paper, release not stated).
"""

from data_prep.brats.source import add_arguments, find_scans, plan

__all__ = ["add_arguments", "find_scans", "plan"]
