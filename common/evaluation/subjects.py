"""What evaluations on subjects of several sites, seen and unseen in training, are given."""

from collections.abc import Sequence
from typing import Unpack

from common.evaluation.run_evaluation import Batches, RunArguments, RunEvaluation

__all__ = ["SubjectArguments", "SubjectsEvaluation"]


class SubjectArguments(RunArguments, total=False):
    """Keyword arguments of these evaluations that have a default.

    Attributes:
        site_names: names of the sites by number, for the report; none unless given.
        deployed_head: "refitted" unless given: what is fitted on the features is deployed; or
            "trained": the network's own head.
    """

    site_names: Sequence[str]
    deployed_head: str


class SubjectsEvaluation(RunEvaluation):
    """An evaluation of training subjects and test subjects, inside and outside their sites.

    Args:
        training: the training subjects.
        test: the test subjects; with "split" ("internal" or "external"), else those of a site that
            was trained on are internal. "patient", where given, is what intervals draw.
        site_names: see `SubjectArguments`.
        deployed_head: see `SubjectArguments`.
        run: see `common.evaluation.run_evaluation.RunArguments`.
    """

    def __init__(
        self,
        training: Batches,
        test: Batches,
        site_names: Sequence[str] = (),
        deployed_head: str = "refitted",
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        self.training = training
        self.test = test
        self.site_names = list(site_names)
        self.uses_trained_head = self.means_trained(deployed_head)
