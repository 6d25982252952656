"""The report on a channel that chooses crops."""

import base64
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.checks import InputError
from common.report import build_report
from common.report.kinds.channel import Grid, _tinted
from tests.common.report.real_runs import write_channel_run, write_classes_run
from tests.common.report.words import Words


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channel")
    runs = [write_channel_run(folder / f"{s}{n}", s, n) for s in STRATEGIES for n in (0, 1)]
    return build_report(runs, folder / "report.html", "T")


def part(report: Path, start: str, end: str) -> str:
    words = Words(report).text
    return words[words.index(start) : words.index(end, words.index(start))]


def pictures(report: Path) -> list[np.ndarray]:
    actual = re.findall(r"data:image/png;base64,([\w+/=]+)", report.read_text())
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in actual]


STRATEGIES = ("ours", "simclr")


def values(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "evaluation.json").read_text()))


def told(report: Path, strategy: str, figure: Callable[[dict[str, Any]], float]) -> list[float]:
    """A figure of the block "channel" of both seeds."""
    return [figure(values(report.parent / f"{strategy}{seed}")["channel"]) for seed in (0, 1)]


def spread(figures: list[float], decimals: int) -> str:
    return f"{np.mean(figures):.{decimals}f} ± {np.std(figures, ddof=1):.{decimals}f}"


def representation(key: str, name: str = "accuracy") -> Callable[[dict[str, Any]], float]:
    return lambda channel: next(
        100 * row[name]
        for row in channel["representations"]
        if f"{row['representation']} {row['average']}" == key
    )


GRID = Grid(image_size=8, crop_size=4, stride=2, crops=9)


def test_every_representation_has_a_column_with_mean_and_deviation_over_seeds(
    report: Path,
) -> None:
    table = part(report, "Accuracy by representation", "What the channel chose")
    heads = ["projection: mean over P", "projection: top 4", "projection: oracle"]
    heads += ["f: mean over P", "f: top 4", "f: oracle"]
    assert [table.index(head) for head in heads] == sorted(table.index(head) for head in heads)
    assert spread(told(report, "ours", representation("projection top")), 2) in table
    assert spread(told(report, "simclr", representation("projection oracle")), 2) in table
    assert "Trained channel" in table
    pixels = values(report.parent / "ours0")["baselines"]["pixels"]["accuracy"]
    assert f"The pixels themselves: {100 * pixels:.2f} %." in table
    assert "Accuracy by head" not in Words(report).text


def test_below_it_stands_the_accuracy_at_1(report: Path) -> None:
    table = part(report, "Accuracy by representation", "What the channel chose")
    at_1 = [table.index("at C = 1", table.index(name)) for name in ("Trained channel", "SimCLR")]
    first, second = (
        spread(told(report, strategy, representation("projection mean", "accuracy_at_1")), 2)
        for strategy in STRATEGIES
    )
    assert at_1[0] < table.index(first, at_1[0]) < table.index("SimCLR") < at_1[1]
    assert at_1[1] < table.index(second, at_1[1])


def test_what_the_channel_chose_stands_beside_the_highest_entropy(report: Path) -> None:
    table = part(report, "What the channel chose", "Where the crops come from")
    for strategy in STRATEGIES:
        assert (
            spread(told(report, strategy, lambda channel: channel["touching"]["mean"]), 3) in table
        )
        assert (
            spread(told(report, strategy, lambda channel: channel["entropy"]["mean"]), 2) in table
        )
        assert spread(told(report, strategy, lambda c: c["gaussian_potential"]), 4) in table
    assert f"{math.log(49):.2f} for 49 crops" in table


def test_every_image_stands_above_its_map_and_a_uniform_channel_has_none(report: Path) -> None:
    words = part(report, "Where the crops come from", "How far apart images lie")
    assert "as likely as any other: nothing to show" in words
    shown = pictures(report)[-24:]  # after those of the errors
    assert [image.ndim for image in shown] == [2, 3] * 12
    with np.load(report.parent / "ours0" / "channel.npz") as arrays:
        probability = arrays["probability"]
    for tinted, p in zip(shown[1::2], probability):
        orange = tinted[..., 0].astype(int) - tinted[..., 2]
        place = np.unravel_index(orange.argmax(), orange.shape)
        # crops start every 3 pixels, and 6 pixels of one are drawn as the 3 in its middle
        assert [(int(n) - 1) // 3 for n in place] == list(np.unravel_index(p.argmax(), p.shape))


def test_a_crop_is_drawn_at_its_centre_up_to_the_images_highest_probability() -> None:
    p = np.zeros((3, 3))
    p[1, 2], p[0, 0] = 0.6, 0.3
    tinted = _tinted(np.zeros((8, 8)), p, GRID)
    assert tinted[3:5, 5:7, 0].tolist() == [[1, 1], [1, 1]]
    assert tinted[1:3, 1:3, 0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert np.count_nonzero(tinted[..., 0]) == 8
    grey = _tinted(np.ones((8, 8)), p, GRID)
    assert grey[0, 0].tolist() == [0.4] * 3


def test_similarities_are_one_line_a_strategy_and_points_one_panel(report: Path) -> None:
    words = part(report, "How far apart images lie", "by epoch")
    assert words.count("Trained channel") == 2
    assert words.count("SimCLR") == 2
    text = report.read_text()
    text = text[text.index('id="spread-of-images"') :]
    clouds = text.split('class="panel wide"')[1:]
    assert [cloud.split("</section>")[0].count("<circle") for cloud in clouds[:2]] == [40, 40]
    assert text[: text.index("panels")].count("<polyline") == 2


def test_without_arrays_the_figures_are_shown_and_the_pictures_are_not(tmp_path: Path) -> None:
    run = write_channel_run(tmp_path / "a", "ours")
    (run / "channel.npz").unlink()
    words = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "projection: mean over P" in words
    assert "Where the crops come from" not in words
    assert "How far apart images lie" not in words


def test_figures_of_a_validation_part_come_with_a_warning(tmp_path: Path) -> None:
    run = write_channel_run(tmp_path / "a", "ours")
    path = run / "evaluation.json"
    path.write_text(path.read_text().replace('"part": "test"', '"part": "validation"'))
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "Figures of a validation part choose settings" in text


def test_runs_without_a_channel_have_none_of_it(tmp_path: Path) -> None:
    run = write_classes_run(tmp_path / "a", "ce")
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "Accuracy by head" in text
    for heading in ("Accuracy by representation", "Where the crops", "How far apart images"):
        assert heading not in text


def test_what_a_run_must_hold_is_told_in_one_line(tmp_path: Path) -> None:
    run = write_channel_run(tmp_path / "a", "ours", touching={"mean": 1.4, "std": 0})
    with pytest.raises(InputError, match=r"channel.touching.mean must be a number in \[0, 1"):
        build_report([run], tmp_path / "r.html", "T")
    grid = values(run)["channel"]["grid"] | {"crops": 16}
    run = write_channel_run(tmp_path / "b", "ours", grid=grid)
    with pytest.raises(InputError, match="must hold a label and 16 crops for each image"):
        build_report([run], tmp_path / "r.html", "T")
    np.savez(run / "channel.npz", image=np.zeros((2, 3)))
    with pytest.raises(InputError, match="must hold an array 'image' of 3 axes, got image"):
        build_report([run], tmp_path / "r.html", "T")
