"""Photographs in the published layouts: CIFAR-10 and -100, and three biased sets.

Writes RGB stacks ``(N, size, size, 3)`` uint8 of at most 1 024 images each. CIFAR and Corrupted
CIFAR-10 keep their 32 pixels; other images are shrunk or enlarged until their shorter side has
``--size`` pixels (bilinear, antialiased) and cut to the central square. `data_prep.photos.layouts`
and `data_prep.photos.cifar` say which folders are read.

Where a set has no validation part of its own, ``--validation`` training images (a tenth unless
given) are set aside, so that nothing need be chosen on the test part; ``--validation 0`` is the
published setting. Each image counts as its own patient. Photographs in folders of your own, or of
ImageNet-100, are read by `data_prep.folders` with ``--kind photo``.

Counts to expect (published): CIFAR 50 000 and 10 000.
"""

from data_prep.photos.source import add_arguments, plan

__all__ = ["add_arguments", "plan"]
