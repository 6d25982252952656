"""A weighted sum of methods that train one encoder, each with views and heads of its own.

One training step, with the methods' losses l_1 ... l_n on the same batch::

    f and all heads:  minimise  sum_i weight_i l_i

With the two sets of transformations of "No Free Lunch in Self Supervised Representation Learning"
(section 3.4 and B.4; weights 0.4 and 1 there) the encoder keeps what each of them makes it learn.
Whatever a method does after its step (momentum encoders, queues, prototypes) it does here.

Paper: https://arxiv.org/abs/2304.11718
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from common.checks import require
from common.methods.method import Method, Phase

__all__ = ["WeightedSum"]


class WeightedSum(Method):
    """Minimise the weighted sum of the encoder phases of several methods; see the module.

    Their terms are logged with the number of the method, from 1: "contrastive_1". Other phases of
    a method, such as "head", go before, and at most one of the methods may have each.

    Args:
        methods: two or more, all with the same `classifier`, whose encoder each of them trains;
            `DINO` deploys its teacher's instead and cannot be one.
        weights: one for each, at least 0 and finite.
    """

    def __init__(self, methods: Sequence[Method], weights: Sequence[float]) -> None:
        require(
            len(methods) >= 2 and len(weights) == len(methods),
            "WeightedSum: methods must be two or more with a weight each, got "
            f"{len(methods)} and {len(weights)} weights.",
        )
        super().__init__(methods[0].classifier)
        require(
            all(0 <= weight < float("inf") for weight in weights) and any(weights),
            f"WeightedSum: weights must be at least 0, finite and not all 0, got {tuple(weights)}.",
        )
        require(
            len({id(method) for method in methods}) == len(methods),
            "WeightedSum: methods must be objects of their own, got one of them twice.",
        )
        encoder = {id(p) for p in self.classifier.encoder.parameters()}
        phases = [method.phase_parameters() for method in methods]
        for method, named in zip(methods, phases):
            trained = {id(p) for p in named.get("encoder", [])}
            require(
                method.classifier is self.classifier and encoder <= trained,
                "WeightedSum: every method must train the encoder of the same classifier, got a "
                f"{type(method).__name__} that does not. Give all of them one classifier.",
            )
        others = [name for named in phases for name in named if name != "encoder"]
        require(
            len(set(others)) == len(others),
            f"WeightedSum: one method at most may have a phase {'/'.join(sorted(set(others)))}, "
            "got several. Leave head_loss out of all but one.",
        )
        self.methods = nn.ModuleList(methods)
        self.weights = tuple(weights)

    def views_of(self, x: Tensor) -> list[Tensor]:
        """Return those of every method."""
        return [view for method in self._members() for view in method.views_of(x)]

    def begin_epoch(self) -> None:
        """Tell every method."""
        for method in self._members():
            method.begin_epoch()

    def needs(self) -> tuple[str, ...]:
        """Return the columns that any method learns from."""
        return tuple(dict.fromkeys(name for m in self._members() for name in m.needs()))

    def needs_of_all(self) -> tuple[str, ...]:
        """Return those that any method must know of every image."""
        return tuple(dict.fromkeys(name for m in self._members() for name in m.needs_of_all()))

    def phase_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each phase, those of all methods together."""
        joined: dict[str, dict[int, nn.Parameter]] = {}
        for method in self._members():
            for name, parameters in method.phase_parameters().items():
                joined.setdefault(name, {}).update({id(p): p for p in parameters})
        apart = {key for name, found in joined.items() if name != "encoder" for key in found}
        encoder = {k: p for k, p in joined.pop("encoder").items() if k not in apart}
        return {name: [*found.values()] for name, found in {**joined, "encoder": encoder}.items()}

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the methods' other phases, then the encoder phase of the weighted sum."""
        turns = [method.steps(batch) for method in self._members()]
        last: list[Phase] = []
        for turn in turns:
            phase = next(turn)
            while phase.name != "encoder":
                yield phase
                phase = next(turn)
            last.append(phase)
        losses = [weight * phase.loss for weight, phase in zip(self.weights, last)]
        terms: dict[str, Tensor] = {}
        for number, phase in enumerate(last, start=1):
            terms |= {f"{name}_{number}": term for name, term in phase.terms.items()}
        also = tuple(dict.fromkeys(name for phase in last for name in phase.also))
        yield Phase("encoder", sum(losses[1:], losses[0]), terms, also=also)
        for turn in turns:
            yield from turn

    def _members(self) -> list[Method]:
        members = list(self.methods)
        assert all(isinstance(member, Method) for member in members)
        return members  # type: ignore[return-value]  # checked above
