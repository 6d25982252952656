"""A packed bundle as an app of MONAI Deploy with one operator: ``python <bundle> -i IN -o OUT``.

::

    IN ──PredictOperator (a `Predictor`)──▶ OUT/predictions.csv  skipped.csv  predictions.json
                                            OUT/sr/*.dcm  a structured report a DICOM image

``__main__.py``, ``app.yaml`` and ``requirements.txt`` of the packed bundle (`common.deploy.pack`)
make its folder what MONAI Deploy runs and packages. Images, weights and outputs are those of
``python -m common predict``. This module needs monai-deploy-app-sdk; nothing else imports it.
"""

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "ERROR")  # read when it is imported

from monai.deploy.conditions import CountCondition
from monai.deploy.core import AppContext, Application, ConditionType, Operator, init_app_context
from monai.deploy.core.models import TorchScriptModel

from common.checks import InputError, require
from common.deploy.commands.arguments import say
from common.deploy.loading import load
from common.deploy.prediction_folder import PredictionFolder
from common.deploy.predictor import Predictor
from common.deploy.sinks import DicomReports

__all__ = ["BundleApp", "PredictOperator", "main"]

HELP = """
Defaults of this app: --input input, --output output, --log-level WARN, and --model its own
models/model.pt, whatever the working folder holds. Research use only; not a medical device."""
MODELS = "HOLOSCAN_MODEL_PATH"  # of MONAI Deploy, for --model


class PredictOperator(Operator):
    """Predicts on a file or folder into a folder; for apps of several operators, too.

    Named output: ``output_folder``, the path of what was written; nobody needs to receive it.

    Args:
        fragment: the app.
        args: conditions.
        predictor: what predicts.
        input_path: a file, or a folder of images.
        output_path: folder to write to.
        kwargs: of every operator.
    """

    def __init__(
        self,
        fragment: Any,
        *args: Any,
        predictor: Predictor,
        input_path: Path,
        output_path: Path,
        **kwargs: Any,
    ) -> None:
        self.predictor = predictor
        self.input_path, self.output_path = input_path, output_path
        self.error: InputError | None = None
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: Any) -> None:
        """Declare the output."""
        spec.output("output_folder").condition(ConditionType.NONE)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Predict; what is refused is kept in `error`, and said when the app has ended."""
        reports = DicomReports(self.predictor.model, self.output_path / "sr")
        folder = PredictionFolder(self.output_path, sinks=[reports])
        try:
            folder.write(self.predictor, self.predictor.files(self.input_path))
        except InputError as error:
            self.error = error
            return
        say(folder)
        op_output.emit(self.output_path, "output_folder")


class BundleApp(Application):
    """The app of one `PredictOperator`.

    Args:
        predictor: what predicts.
        context: where from and to.
    """

    def __init__(self, predictor: Predictor, context: Any) -> None:
        self.predictor, self.context = predictor, context
        super().__init__([predictor.model.bundle])

    def compose(self) -> None:
        """Make the operator, which computes once."""
        self.operator = PredictOperator(
            self,
            CountCondition(self, 1),
            predictor=self.predictor,
            input_path=Path(self.context.input_path),
            output_path=Path(self.context.output_path),
            name="predict",
        )
        self.add_operator(self.operator)


def main(bundle: Path, words: Sequence[str]) -> int:
    """Run the app of a packed bundle; return the exit code: 0, or 1 if nothing was predicted.

    Args:
        bundle: its folder.
        words: ``--input``, ``--output``, ``--model`` and the other arguments of MONAI Deploy, whose
            environment variables (HOLOSCAN_INPUT_PATH and so on) stand for what is not given.
    """
    try:
        app = BundleApp(*_prepared(bundle, words))
        app.run()
        if app.operator.error is not None:
            raise app.operator.error
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _prepared(bundle: Path, words: Sequence[str]) -> tuple[Predictor, Any]:
    """What predicts, with its weights, and the context."""
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            context = init_app_context([bundle.name, "--log-level", "WARN", *words])
    except SystemExit as end:
        if not end.code:  # --help
            print(HELP)
            raise
        what = told.getvalue().splitlines()[-1].partition(" error: ")[2]
        raise InputError(f"{what}. See --help.") from None
    predictor = _loaded(bundle, context)
    predictor.num_workers = 0  # no process is started from among the threads of an app
    return predictor, context


def _loaded(bundle: Path, context: AppContext) -> Predictor:
    """The predictor, of the app's own weights unless ``--model`` names others.

    MONAI Deploy itself finds a TorchScript model, which must be the export of the weights. It is
    the network of model.json that computes: a script of the same weights may compute anything.
    """
    given = context.args.get("model")
    named = context.models is not None and (given or MODELS in os.environ)  # else what lies around
    found = [model for _, model in context.models.items()] if named else []
    scripted = [model for model in found if isinstance(model, TorchScriptModel)]
    predictor = load(bundle, None if scripted else given)
    predictor.require_head()
    for model in scripted:
        own, other = predictor.network.state_dict(), _state(model)
        require(
            own.keys() == other.keys()
            and all(torch.equal(own[name].cpu(), other[name].cpu()) for name in own),
            f"--model: {Path(model.path).name} must be the export of {predictor.model.path}, got "
            "that of other weights. Pack both together: python -m common pack BUNDLE --export "
            "torchscript.",
        )
    return predictor


def _state(model: TorchScriptModel) -> dict[str, Tensor]:
    try:
        return dict(model.predictor.state_dict())
    except Exception as error:  # a damaged archive raises anything
        raise InputError(
            f"--model: {Path(model.path).name} must be a whole TorchScript model, got an error "
            f"({type(error).__name__}). Copy it again."
        ) from None
