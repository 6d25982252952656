"""``python -m common explain BUNDLE PATHS --output DIR``."""

import logging
from collections.abc import Sequence

from common.deploy.commands.arguments import LEFT_OUT, Parser, loaded, say_if_released
from common.deploy.explanation import METHODS, fits_a_page, write_explanations
from common.report.words import plural

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Explain; return the exit code.

    Raises:
        InputError: no model, wrong arguments, or too many images for a page.
    """
    parser = Parser("explain", "Write a page of what predictions depend on: explanations.html.")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=(), help="maps; two that suit the model"
    )
    parser.add_argument("--among", help="known images, to show the nearest: a file or a folder")
    options = parser.parse_args(list(words))
    logging.getLogger("common").setLevel(logging.WARNING)
    predictor = loaded(options)
    fits_a_page(len(predictor.files(options.paths)))
    explanations = predictor.explain(options.paths, options.methods, options.among)
    page = write_explanations(explanations, options.output, f"Explanations by {options.bundle}")
    missing = [one.prediction for one in explanations if one.prediction.reason]
    done = plural(len(explanations) - len(missing), "image")
    print(f"{page}: {done} explained, {len(missing)} left out")
    say_if_released(predictor)
    return LEFT_OUT if missing else 0
