"""Synthetic images with a small lesion in half of them: ``python -m data_prep phantom``.

Deterministic, patient-structured (several slices or films of each patient, three sites, ages 20 to
80 years), with the lesion's mask. One module per kind; a new kind is a module with ``DIMS``,
``IMAGES``, ``LESION_RADIUS``, ``LESION_CONTRAST``, ``frame_points`` and an anatomy class, and a
line in `KINDS`. Films of the chest also have the columns of CheXpert's five findings.

``--kind digits`` draws coloured digits, for the bundles of biased and natural images, with
``--layout grid`` grey ones in one of nine cells: see `digits`.
``--kind cells`` draws wells of treated and untreated cells in three stains: see `cells`.
``--kind fundus`` draws both eyes of each patient in colour, for DINO: see `fundus`.
``--task age`` draws whole brains whose anatomy ages, for the brain-age bundles: see `ageing`.

Counts to expect (ours): ``--kind brain`` gives 60 patients × 12 slices: 432 training, 72
validation and 216 test images, half of each with a lesion; ``--kind chest`` 60 × 8 films.
"""

from data_prep.phantom.source import KINDS, PhantomPatient, add_arguments, plan

__all__ = ["KINDS", "PhantomPatient", "add_arguments", "plan"]

NEEDS_SOURCE = False  # it reads nothing: images are drawn
