"""A brain to the template: rigid with one scale first, then twelve degrees of freedom.

Both images are sampled on one coarse grid, in millimetres of RAS, so that neither the handedness of
a header nor its shears matter to the optimiser. What is compared, by correlation, is the brain's
brightness plus one inside it: the shape of the brain counts about as much as what it shows.
"""

from itertools import permutations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from common.data.brain_t1.template import Affine, Array, Grid, Template, sampled, template

__all__ = ["COARSE_MM", "register"]

ITK: Any = sitk  # SWIG, without types

COARSE_MM = 3.0  # a finer grid brings nothing for an affine transform
START_MM = 6.0
WORSE = 0.15  # how much less a header's orientation must correlate than another to be doubted
STEPS = 60
SAMPLED = 0.3  # of the voxels, at regular places


def register(voxels: Array, mask: npt.NDArray[np.bool_], affine: Affine) -> tuple[Affine, bool]:
    """Find where the template's millimetres lie in an image.

    Args:
        voxels: (X, Y, Z), 0 or more.
        mask: its brain.
        affine: (4, 4), its voxels to the millimetres of its header.

    Returns:
        (4, 4) from the template's millimetres to the header's; and whether the image fits the
        template much better when it is turned than as its header says it lies.
    """
    target = template(COARSE_MM)
    fixed = target.t1 + target.brain
    shown = np.where(mask, 1 + voxels / np.percentile(voxels[mask], 98), 0).astype(np.float32)
    start = _alike(mask, affine, target)
    moving = sampled(shown, affine, target.grid, start)
    turn, turned = _turn(fixed, moving, target)
    total = turn
    for transform in (ITK.Similarity3DTransform(), ITK.AffineTransform(3)):
        total = total @ _optimised(fixed, _moved(moving, total, target.grid), transform, target)
    return start @ total, turned


def _alike(mask: npt.NDArray[np.bool_], affine: Affine, target: Template) -> Affine:
    """Bring the template's centre and volume to those of the brain, in the header's orientation."""
    centre = affine @ np.append(np.argwhere(mask).mean(axis=0), 1)
    volume = mask.sum() * abs(np.linalg.det(affine[:3, :3]))
    start = np.diag([*[float(np.cbrt(volume / _volume(target)))] * 3, 1.0])
    start[:3, 3] = centre[:3] - start[:3, :3] @ _middle(target)
    return start


def _turn(fixed: Array, moving: Array, target: Template) -> tuple[Affine, bool]:
    """The right-angled turn about the template's centre that fits best, if far better than none."""
    coarse, middle = Grid(START_MM), _middle(target)
    reference = sampled(fixed, target.grid.affine, coarse).ravel()
    turns, fits = [], []
    for rotation in _rotations():
        turn = np.eye(4)
        turn[:3, :3] = rotation
        turn[:3, 3] = middle - rotation @ middle
        moved = sampled(moving, target.grid.affine, coarse, turn)
        turns.append(turn)
        fits.append(float(np.corrcoef(moved.ravel(), reference)[0, 1]))
    best = int(np.argmax(fits))
    turned = fits[best] > fits[0] + WORSE
    return (turns[best] if turned else turns[0]), turned


def _rotations() -> list[npt.NDArray[np.float64]]:
    """The 24 rotations by right angles, none first."""
    rotations = []
    for axes, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        rotation = np.zeros((3, 3))
        rotation[range(3), axes] = signs
        if np.linalg.det(rotation) > 0:
            rotations.append(rotation)
    return rotations


def _optimised(fixed: Array, moving: Array, transform: Any, target: Template) -> Affine:
    """Optimise one transform about the template's centre: template to moving millimetres."""
    transform.SetCenter([float(x) for x in _middle(target)])
    method = ITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in one order, so the same result every time
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLED, 1)
    method.SetInterpolator(ITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 0.01, STEPS, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([4.0, 2.0])  # mm
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(_image(fixed, target.grid), _image(moving, target.grid))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return matrix


def _moved(moving: Array, transform: Affine, grid: Grid) -> Array:
    return sampled(moving, grid.affine, grid, transform)


def _image(values: Array, grid: Grid) -> Any:
    image = ITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0), np.float32))
    image.SetSpacing([grid.spacing_mm] * 3)
    image.SetOrigin([float(x) for x in grid.affine[:3, 3]])
    return image


def _middle(target: Template) -> npt.NDArray[np.float64]:
    """Centre of the template's brain, in its millimetres."""
    voxel = np.argwhere(target.brain).mean(axis=0)
    return np.asarray((target.grid.affine @ np.append(voxel, 1))[:3])


def _volume(target: Template) -> float:
    """Of the template's brain, in cubic millimetres."""
    return float(target.brain.sum()) * target.grid.spacing_mm**3
