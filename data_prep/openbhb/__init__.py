"""OpenBHB brains (challenge rows or one file per subject) as stacks, with age, sex and site.

Reads two layouts. (a) The challenge's files: ``train.npy`` and ``test.npy``, rows of 3,659,572
float32 values in the blocks of `MODALITIES`, with ``train.tsv`` and ``test.tsv``. (b) One file per
subject at any depth, such as ``sub-001_preproc-cat12vbm_desc-gm_T1w.npy`` (or ``.nii.gz``), with
``participants.tsv`` (``participant_id``, ``age``, ``sex``, ``site`` or ``siteXacq``, ``split``).

Volumes are kept as the voxels of a mask, ``volume[mask] = row`` (float16); region tables as they
are (float32). Rows are read and written one at a time, so memory does not grow with the set.
``.npy`` files keep the axes they have, and so does their mask; NIfTI volumes and their mask are
brought into RAS order.
Differs from the reader released with the papers, which transposes unmasked volumes before it
reshapes them and so scrambles them (neighbours along one axis correlate .57 instead of .98); scores
published with that reader are not comparable voxel by voxel.

The official split is kept: ``training`` holds the training subjects, without a tenth of them
(``--validation``, ours) for choices in ``validation``; ``test`` holds the two public validation
sets, ``"split": "internal"`` (sites of the training set) and ``"external"`` (unseen sites). With
``--validation 0`` all training subjects train, as in the challenge.

Participants become p0001, p0002, ... in the order of the SHA-256 of their id, and ages above 90
become 90. A subject that cannot be read is left out of its stack.

Counts to expect: 3 227 training, 362 internal and 396 external (data set's paper, which gives 757
for the two together).
"""

from data_prep.openbhb.source import add_arguments, plan

__all__ = ["add_arguments", "plan"]
