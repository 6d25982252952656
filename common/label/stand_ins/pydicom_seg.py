"""Stands in for pydicom-seg, which MONAI Label 0.8.5 imports.

The real one (0.4.1) does not import beside pydicom 3. MONAI Label writes DICOM SEG with it; labels
of whole images are none. `common.label` puts this folder on the path only where it is missing.
"""
