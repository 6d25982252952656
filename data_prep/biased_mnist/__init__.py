"""Biased-MNIST: digits on a background whose colour nearly gives the digit away.

Reads MNIST (see `data_prep.digits.mnist`). Each class has a colour. Of the n training digits of a
class, ``int(n ratio)`` get that colour; the rest is dealt out evenly to the nine other colours, in
random order. Every pixel that is not 0 becomes white, every other one the colour (Bahng et al.,
ReBias, 2020, with colour 9 as in the public code of Barbano et al., ICLR 2023). Test digits
have each of the ten colours equally often (ratio 0.1), so the colour says nothing there.

A validation part is carved out of the training digits and coloured as the test part is, so that
nothing need be chosen on the test part. Differs from the published setting, which has none;
``--validation 0`` gives that one.

Each digit counts as its own patient. Counts to expect (ours, 2026-11): 55 000 training, 5 000
validation and 10 000 test images; at ratio 0.99, 555 training images off their colour.
"""

from data_prep.biased_mnist.source import (
    COLOURS,
    add_arguments,
    assign_colours,
    colour_digits,
    plan,
)

__all__ = ["COLOURS", "add_arguments", "assign_colours", "colour_digits", "plan"]
