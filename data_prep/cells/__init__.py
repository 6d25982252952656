"""Cells under the microscope, three stains: BBBC021 as it is published, or ready crops.

Three forms of source, told apart by what the folder holds::

    BBBC021_v1_image.csv, BBBC021_v1_moa.csv, Week1/Week1_22123/*.tif    the published layout
    <name>.npz, labels.csv                                               crops in one file
    DIR/<class>/<field>_<number>.npy                                     crops in class folders

Of the published layout (Caie et al. 2010; Ljosa et al. 2012) the wells treated with ``--compound``
at its four highest concentrations are taken, with as many cells of untreated wells (DMSO) of the
same plates, drawn plate by plate. Each plate's uneven light is corrected and its stains are scaled
(`common.data.cells.plate`); nuclei are found by Otsu's threshold, a distance transform and a
watershed; a crop of ``--size`` pixels is cut around each, its neighbours kept; nuclei nearer to the
border are passed over. Crops that were made elsewhere are only scaled: 16-bit ones by the 99.9th
percentile of each stain over all, 8-bit ones not at all.

Written are stacks ``(N, size, size, 3)`` uint8 (DAPI, tubulin, actin) with ``label`` 0 for
untreated; of the published layout also ``compound``, ``concentration`` (micromolar), ``moa``,
``site`` (the plate), ``field``, and ``row`` and ``column`` of the nucleus in pixels.

The split is by well, of ready crops by field: no field lies in two parts. Differs from the paper
(No Free Lunch in Self Supervised Representation Learning, A): there single images are shared out,
so that cells of one field lie on both sides; and its quality control of the fields is not public.

Counts to expect: 3 500 images for nocodazole, 1 900 for taxol, 2 300 for cytochalasin B, half of
them untreated (paper; its cells were found and sampled otherwise); the 68-pixel crops of
``bbbc021_cells`` give 2 022 (ours, 2026-11).
"""

from data_prep.cells.source import add_arguments, plan, split_wells

__all__ = ["add_arguments", "plan", "split_wells"]
