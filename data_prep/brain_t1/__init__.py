"""Raw T1-weighted heads (NIfTI, DICOM series, BIDS) as brains on the MNI152 template's grid.

Each head is read, its brain found (`deepbet`), brought to the template with twelve degrees of
freedom, resampled once at ``--spacing`` 1, 1.5, 2 or 3 mm, evened out (N4), and written as
``--map``:

- ``tissue`` (default): 3 channels, probabilities of grey matter, white matter and CSF, from a
  mixture fitted in each image anew, so that they carry from one scanner to another; for age;
- ``grey_white``: the first two of them; CSF is what they leave of the template's brain, and without
  it a model carried better to another scanner (``benchmarks/brain_age_heads.md``);
- ``intensity``: 1 channel, brightness with the white matter at .8: "quasi-raw" as OpenBHB's;
- ``vbm``: 1 channel, grey matter modulated by a non-linear registration; needs ``antspyx``.

A brain on a black background, which shows by itself that it is one, is not extracted again;
``--stripped`` refuses all others. All of it is `common.data.brain_t1`, which
prediction uses too; what was chosen stands in the manifest under ``preparation``.

Reads NIfTI files at any depth, of BIDS and other names those that are not named as another contrast
or as a mask; and DICOM series in any nesting: of each patient's series the T1-weighted one, by its
headers; the others are listed as skipped. Ages, sexes, sites and diagnoses come from
``participants.tsv`` (or ``--participants`` CSV, TSV or XLSX: ``participant_id``, ``age``, ``sex``,
``site``, ``diagnosis``), else from DICOM headers.

The split is drawn by patient (``--seed``): ``--validation`` and ``--test`` are shares; sites named
by ``--external-sites`` are all tested, as ``"split": "external"``.

Each entry has its quality (``overlap`` with the template's brain, ``volume_ml``, ``correlation``,
``slice_mm``, shares of the tissues) and ``flags``, reasons to look at it; a flagged head is kept.
``quality.html`` shows three cuts of each with the template's outline, the flagged first.

Counts to expect: one image for each head; no flag for whole heads of 3D sequences (ours).
"""

from data_prep.brain_t1.source import add_arguments, plan

__all__ = ["add_arguments", "plan"]
