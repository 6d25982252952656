"""OpenBHB in both layouts becomes stacks whose voxels are where the source had them."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from common.checks import InputError
from common.data import StackDataset, read_image, read_manifest
from common.data.stack_file import read_features
from data_prep.__main__ import main
from data_prep.openbhb.images import MODALITIES
from data_prep.openbhb.tables import ROW
from tests.keys import key_of, patients, reasons

VBM = (121, 145, 121)
SPLITS = ["train"] * 8 + ["internal_test"] * 2 + ["external_test"] * 2
SITES = ["10", "2", "10", "2", "3", "3", "10", "2", "2", "3", "", ""]


def table(path: Path, lines: list[dict[str, Any]]) -> None:
    rows = [list(lines[0]), *([str(value) for value in line.values()] for line in lines)]
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")


def people() -> list[dict[str, Any]]:
    return [
        {
            "participant_id": 100 + i,
            "age": 20.5 + i,
            "sex": "FM"[i % 2],
            "siteXacq": f"{site}.0" if site else "nan",
            "split": split,
        }
        for i, (split, site) in enumerate(zip(SPLITS, SITES, strict=True))
    ]


def value(i: int) -> np.ndarray:
    """The grey matter of subject i: float32, exact in float16."""
    return (np.random.default_rng(i).integers(1, 1000, 519_945) / 1024).astype(np.float32)


def random_mask() -> np.ndarray:
    mask = np.zeros(VBM, np.bool_)
    chosen = np.random.default_rng(7).choice(mask.size, 519_945, replace=False)
    mask.reshape(-1)[chosen] = True
    return mask


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sparse files of the challenge's full width: only two blocks are written."""
    folder = tmp_path_factory.mktemp("challenge")
    lines = people()
    for name, part in (("train", slice(0, 8)), ("test", slice(8, 12))):
        chosen = list(range(12))[part]
        rows = np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.float32, (len(chosen), ROW)
        )
        for place, i in enumerate(chosen):
            rows[place, :519_945] = value(i)
            rows[place, 3_658_060 : 3_658_060 + 476] = i + np.arange(476) / 512
        table(folder / f"{name}.tsv", lines[part])
    np.save(folder / "mask.npy", random_mask())
    return folder


def prepare(source: Path, target: Path, *options: str) -> dict[str, Any]:
    arguments = ["openbhb", "--source", str(source), "--target", str(target), "--workers", "1"]
    assert main([*arguments, "--key", str(key_of(target)), *options]) == 0
    return read_manifest(target)


@pytest.fixture(scope="module")
def vbm(challenge: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("vbm") / "out"
    options = ("--modality", "vbm", "--mask", str(challenge / "mask.npy"), "--validation", "0.25")
    prepare(challenge, target, *options)
    return target


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["openbhb", "--workers", "1", *arguments]) == 2
    text = capsys.readouterr().err.strip()
    assert "\n" not in text
    return text


def test_blocks_follow_each_other_and_fill_the_row() -> None:
    end = 0
    for modality in MODALITIES.values():
        assert modality.start == end
        end += modality.size
    assert end == ROW == 3_659_572


def test_volume_at_the_mask_is_the_row(vbm: Path) -> None:
    mask = random_mask()
    actual = 0
    for part in ("training", "validation", "test"):
        dataset = StackDataset(vbm, part, ("age",))
        batch = dataset.__getitems__(range(len(dataset)))
        for volume, age in zip(batch["image"].numpy(), batch["age"].tolist(), strict=True):
            assert volume.shape == (1, *VBM)
            assert np.array_equal(volume[0][mask], value(round(age - 20.5)))
            assert not volume[0][~mask].any()
            actual += 1
    assert actual == 12


def test_official_split_is_kept_and_a_quarter_of_the_training_subjects_set_apart(
    vbm: Path,
) -> None:
    manifest = read_manifest(vbm)
    splits = {part: [e["split"] for e in manifest[part]] for part in ("training", "test")}
    assert splits == {"training": ["train"] * 6, "test": ["internal"] * 2 + ["external"] * 2}
    validation = {entry["patient"] for entry in manifest["validation"]}
    training = {entry["patient"] for entry in manifest["training"]}
    assert len(validation) == 2
    real = {name: patient for patient, name in patients(vbm).items()}
    assert {real[name] for name in training | validation} == {str(100 + i) for i in range(8)}


def test_sites_are_numbers_in_numeric_order_and_unknown_sites_minus_one(vbm: Path) -> None:
    manifest = read_manifest(vbm)
    names = {"site": ["2", "3", "10"], "label": [], "sex": ["female", "male"]}
    assert manifest["classes"] == names
    names = {e["patient"]: e["site"] for part in ("training", "test") for e in manifest[part]}
    names |= {e["patient"]: e["site"] for e in manifest["validation"]}
    expected = [{"2": 0, "3": 1, "10": 2, "": -1}[site] for site in SITES]
    assert [names[patients(vbm)[str(100 + i)]] for i in range(12)] == expected
    assert {e["sex"] for e in manifest["training"]} == {0, 1}


def test_table_rows_keep_their_order_and_precision(challenge: Path, tmp_path: Path) -> None:
    manifest = prepare(challenge, tmp_path, "--modality", "desikan", "--validation", "0")
    assert "mask" not in manifest
    assert not manifest["validation"]
    rows = StackDataset(tmp_path, "training").__getitems__(range(8))["image"]
    expected = torch.arange(8.0)[:, None] + torch.arange(476) / 512
    assert torch.equal(rows, expected)


def test_early_release_with_a_first_row_of_nan_is_read(challenge: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    rows = np.lib.format.open_memmap(source / "train.npy", "w+", np.float32, (9, ROW))
    rows[0] = np.nan
    rows[0, 0] = 8
    rows[1:, 3_657_776:] = np.arange(1, 9, dtype=np.float32)[:, None]
    table(source / "train.tsv", people()[:8])
    prepare(source, tmp_path / "out", "--modality", "vbm_roi", "--validation", "0")
    images = StackDataset(tmp_path / "out", "training").__getitems__(range(8))["image"]
    assert images.shape == (8, 284)
    assert images[:, 5].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_second_run_gives_the_same_bytes_and_the_manifest_their_digests(
    challenge: Path, vbm: Path, tmp_path: Path
) -> None:
    options = ("--modality", "vbm", "--mask", str(challenge / "mask.npy"), "--validation", "0.25")
    manifest = prepare(challenge, tmp_path / "again", *options)
    files = tree(tmp_path / "again")
    assert files == tree(vbm)
    assert manifest["sha256"] == {k: v for k, v in files.items() if k != "manifest.json"}


def test_interrupted_run_goes_on_with_the_stacks_that_are_left(
    challenge: Path, vbm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_prep.openbhb import source as openbhb

    read, calls = openbhb.read_row, []

    def stopping(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 8:  # in the second stack, after the six subjects of the first
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(openbhb, "read_row", stopping)
    options = ["--modality", "vbm", "--mask", str(challenge / "mask.npy"), "--validation", "0.25"]
    arguments = ["openbhb", "--source", str(challenge), "--target", str(tmp_path / "out")]
    assert main([*arguments, "--workers", "1", *options]) == 130
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert [p.name for p in (tmp_path / "out" / "images").iterdir()] == ["training_000.npy"]
    monkeypatch.setattr(openbhb, "read_row", lambda *a: (calls.append(a), read(*a))[1])
    calls.clear()
    assert main([*arguments, "--workers", "1", *options]) == 0
    assert len(calls) == 6  # validation, internal, external
    assert tree(tmp_path / "out") == tree(vbm)


def per_subject(folder: Path, suffix: str = ".npy") -> tuple[Path, np.ndarray, list[np.ndarray]]:
    """Twelve subjects of 8 x 9 x 10 voxels in nested folders, and a mask."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    volumes = [rng.integers(1, 999, (8, 9, 10)).astype(np.float32) for _ in SPLITS]
    for i, volume in enumerate(volumes):
        path = folder / SPLITS[i] / f"sub-{100 + i}" / "ses-1"
        path.mkdir(parents=True)
        name = f"sub-{100 + i}_preproc-cat12vbm_desc-gm_T1w{suffix}"
        if suffix == ".npy":
            np.save(path / name, volume[None, None])
        else:
            image = nibabel.Nifti1Image(volume[::-1], np.diag([-1.5, 1.5, 1.5, 1.0]))
            nibabel.save(image, path / name)
    table(folder / "participants.tsv", people())
    return folder, rng.random((8, 9, 10)) > 0.5, volumes


@pytest.mark.parametrize("suffix", [".npy", ".nii.gz"])
def test_one_file_per_subject_gives_the_same_volumes_with_and_without_a_mask(
    tmp_path: Path, suffix: str
) -> None:
    source, mask, volumes = per_subject(tmp_path / "source", suffix)
    np.save(tmp_path / "mask.npy", mask)
    options = ("--modality", "vbm", "--validation", "0")
    prepare(source, tmp_path / "whole", *options)
    prepare(source, tmp_path / "masked", *options, "--mask", str(tmp_path / "mask.npy"))
    whole = StackDataset(tmp_path / "whole", "test")[3]["image"][0].numpy()
    masked = StackDataset(tmp_path / "masked", "test")[3]["image"][0].numpy()
    assert np.array_equal(whole, volumes[11])
    assert np.array_equal(masked, np.where(mask, volumes[11], 0))


def test_nifti_mask_of_the_resources_is_found_and_turned_with_the_volumes(tmp_path: Path) -> None:
    source, mask, volumes = per_subject(tmp_path / "source", ".nii.gz")
    probability = np.where(mask, 0.06, 0.05).astype(np.float32)
    (source / "resource").mkdir()
    nibabel.save(
        nibabel.Nifti1Image(probability[::-1], np.diag([-1.5, 1.5, 1.5, 1.0])),
        source / "resource" / MODALITIES["vbm"].mask,
    )
    manifest = prepare(source, tmp_path / "out", "--modality", "vbm")
    assert manifest["orientation"] == "RAS"
    assert np.array_equal(np.load(tmp_path / "out" / "mask.npy"), mask)
    image = StackDataset(tmp_path / "out", "test")[0]["image"][0].numpy()
    assert np.array_equal(image, np.where(mask, volumes[8], 0))


def test_test_subjects_of_an_unnamed_split_are_internal_at_sites_of_the_training_set(
    tmp_path: Path,
) -> None:
    source, _, _ = per_subject(tmp_path / "source")
    lines = people()
    for line in lines[8:]:
        line["split"] = "val"
    table(source / "participants.tsv", lines)
    manifest = prepare(source, tmp_path / "out", "--modality", "vbm")
    assert [e["split"] for e in manifest["test"]] == ["internal"] * 2 + ["external"] * 2


def test_subjects_that_cannot_be_used_are_listed_and_the_rest_kept(tmp_path: Path) -> None:
    source, _, volumes = per_subject(tmp_path / "source")
    files = {path.name.split("_")[0]: path for path in source.rglob("sub-*.npy")}
    files["sub-100"].unlink()
    np.save(files["sub-101"], np.full_like(volumes[0], np.nan))
    np.save(files["sub-102"], volumes[0] * 1000)
    files["sub-103"].write_bytes(b"\x93NUMPY")
    manifest = prepare(source, tmp_path / "out", "--modality", "vbm", "--validation", "0")
    message = list(reasons(tmp_path / "out").items())
    for (name, reason), patient, words in zip(
        message,
        ("100", "101", "102", "103"),
        ("got none", "must be finite", "must fit float16", "must be a whole .npy file"),
        strict=True,
    ):
        assert patient in name
        assert words in reason
        assert patient not in reason
    assert set(patients(tmp_path / "out")) == {*map(str, range(104, 112))}
    assert [e["index"] for e in manifest["training"]] == [0, 1, 2, 3]


def test_diagnoses_are_labels_with_controls_first(tmp_path: Path) -> None:
    source, _, _ = per_subject(tmp_path / "source")
    names = ["HC", "schizophrenia", "asd", "n/a"] * 3
    table(
        source / "participants.tsv",
        [{**line, "diagnosis": name} for line, name in zip(people(), names, strict=True)],
    )
    manifest = prepare(source, tmp_path / "out", "--modality", "vbm", "--validation", "0")
    assert manifest["classes"]["label"] == ["control", "asd", "schizophrenia"]
    assert [e["label"] for e in manifest["training"]] == [0, 2, 1, -1] * 2


@pytest.mark.bad_input("labels")
def test_ages_that_are_codes_are_null_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _, _ = per_subject(tmp_path / "source")
    ages = ["-9999", "999", "n/a", "61,5", "95"]
    lines = [{**line, "age": age} for line, age in zip(people(), ages)] + people()[5:]
    lines = [{**line, "siteXacq": "1"} for line in lines]
    table(source / "participants.tsv", lines)
    manifest = prepare(source, tmp_path / "out", "--modality", "vbm", "--validation", "0")
    assert [e["age"] for e in manifest["training"]][:5] == [None, None, None, 61.5, 90]
    printed = capsys.readouterr().out
    assert "2 ages are unknown" in printed
    assert "3 of 12 subjects have no age: a kernel on age needs every one" in printed
    assert "of one site: how well it can be told is not judged" in printed


@pytest.mark.bad_input("labels")
def test_codes_of_sex_are_unknown_and_diagnoses_without_a_control_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _, _ = per_subject(tmp_path / "source")
    codes = ["-9", "999", "1.5", "2", "M", "f"] * 2
    lines = [{**line, "sex": c, "diagnosis": "1"} for line, c in zip(people(), codes, strict=True)]
    table(source / "participants.tsv", lines)
    manifest = prepare(source, tmp_path / "out", "--modality", "vbm", "--validation", "0")
    assert [e["sex"] for e in manifest["training"]][:6] == [-1, -1, -1, 2, 1, 0]
    assert "sex" not in manifest["classes"]  # nobody knows what the table's 2 stands for
    assert "no subject is a control (class 0): none of 1 is" in capsys.readouterr().out


@pytest.mark.bad_input("tables")
@pytest.mark.parametrize("split", ["untrained", "nontrain", "Doe Jane", "distraining"])
def test_a_split_that_is_no_split_is_refused_without_quoting_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    source, _, _ = per_subject(tmp_path / "source")
    table(source / "participants.tsv", [{**people()[0], "split": split}, *people()[1:]])
    arguments = ("--source", str(source), "--target", str(tmp_path / "out"), "--modality", "vbm")
    text = failure(capsys, *arguments)
    assert "split must be train, internal_test" in text
    assert split.lower() not in text.lower()


@pytest.mark.bad_input("pixels")
def test_volumes_of_both_kinds_are_refused_and_complex_tables_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _, _ = per_subject(tmp_path / "source")
    volume = next(source.rglob("sub-100_preproc-cat12vbm*T1w.npy"))
    nibabel.save(nibabel.Nifti1Image(np.load(volume), np.eye(4)), volume.with_suffix(".nii.gz"))
    volume.unlink()
    arguments = ("--source", str(source), "--target", str(tmp_path / "out"), "--modality", "vbm")
    assert "must be all .npy" in failure(capsys, *arguments)
    np.save(tmp_path / "table.npy", np.full(284, 1j))
    with pytest.raises(InputError, match="of real numbers, got 284 of type complex128"):
        read_features(tmp_path / "table.npy")


def test_rows_without_a_mask_say_what_to_pass(
    challenge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--source", str(challenge), "--target", str(tmp_path), "--modality", "vbm")
    assert "--mask must be given" in failure(capsys, *arguments)
    assert "cat12vbm_space-MNI152_desc-gm_TPM.nii.gz" in failure(capsys, *arguments)
    np.save(tmp_path / "small.npy", np.ones(VBM, np.bool_))
    text = failure(capsys, *arguments, "--mask", str(tmp_path / "small.npy"))
    assert f"mask must be 3D with 519945 voxels, got shape {VBM} with {121 * 145 * 121}" in text


def test_subject_in_two_splits_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _, _ = per_subject(tmp_path / "source")
    lines = people()
    lines.append({**lines[0], "split": "external_test", "participant_id": "sub-100"})
    table(source / "participants.tsv", lines)
    arguments = ("--source", str(source), "--target", str(tmp_path / "out"), "--modality", "vbm")
    assert "got one in train and external" in failure(capsys, *arguments)
    lines[-1]["split"] = "train"
    table(source / "participants.tsv", lines)
    assert "got one twice" in failure(capsys, *arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "must have as many rows as test.tsv, got 4 and 3"),
        (lambda lines: [{**line, "split": "x"} for line in lines], "split must be train"),
        (lambda lines: [{k: v for k, v in line.items() if k != "age"} for line in lines], "no age"),
    ],
    ids=["too short", "unknown split", "no age"],
)
def test_table_that_does_not_fit_is_one_line(
    challenge: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    words: str,
) -> None:
    for name in ("train.npy", "train.tsv", "test.npy"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).symlink_to(challenge / name)
    table(tmp_path / "in" / "test.tsv", change(people()[8:]))
    arguments = ("--source", str(tmp_path / "in"), "--target", str(tmp_path / "out"))
    assert words in failure(capsys, *arguments, "--modality", "vbm_roi")


def test_folder_of_neither_layout_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    arguments = ("--source", str(tmp_path / "in"), "--target", str(tmp_path / "out"))
    assert "train.npy" in failure(capsys, *arguments, "--modality", "vbm")


def test_real_volumes_survive_the_way_through_a_stack(shared_data: Path, tmp_path: Path) -> None:
    scans = sorted((shared_data / "ixi_t1_hh" / "nifti_2mm").glob("*T1_brain.nii.gz"))[:4]
    source = tmp_path / "source"
    source.mkdir()
    for i, scan in enumerate(scans):
        (source / f"sub-{i}_preproc-quasiraw_T1w.nii.gz").write_bytes(scan.read_bytes())
    lines = [
        {"participant_id": i, "age": 30 + i, "sex": "F", "site": "HH", "split": split}
        for i, split in enumerate(["train", "train", "train", "val"])
    ]
    table(source / "participants.tsv", lines)
    prepare(source, tmp_path / "out", "--modality", "quasiraw")
    image = StackDataset(tmp_path / "out", "test")[0]["image"].numpy()
    expected = read_image(scans[3])
    scaled = np.clip(image / np.percentile(image[image > 0], 99.5), 0, 1)
    np.testing.assert_allclose(scaled, expected, atol=1e-3)


@pytest.mark.slow
def test_memory_stays_small_for_400_subjects(tmp_path: Path) -> None:
    if not Path("/proc/self/status").is_file():
        pytest.skip("no /proc: the memory of a process is read there")
    source = tmp_path / "source"
    source.mkdir()
    rows = np.lib.format.open_memmap(source / "train.npy", "w+", np.float32, (400, ROW))
    for i in range(400):
        rows[i, :519_945] = value(i % 5)
    del rows
    lines = [
        {"participant_id": i, "age": 20 + i % 60, "sex": "F", "site": i % 4, "split": "train"}
        for i in range(400)
    ]
    table(source / "train.tsv", lines)
    np.save(source / "mask.npy", random_mask())
    program = (
        "import sys; from pathlib import Path; from data_prep.__main__ import main; "
        "code = main(sys.argv[1:]); "
        "lines = Path('/proc/self/status').read_text().splitlines(); "
        "print(code, *[line.split()[1] for line in lines if line.startswith('VmHWM')])"
    )
    arguments = ["openbhb", "--source", str(source), "--target", str(tmp_path / "out")]
    options = ["--modality", "vbm", "--mask", str(source / "mask.npy"), "--workers", "1"]
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    code, kilobytes = map(int, result.stdout.splitlines()[-1].split())
    assert code == 0
    print("peak", kilobytes // 1024, "MB for", (source / "train.npy").stat().st_size >> 20, "MB")
    assert kilobytes / 1024 < 300
    assert read_manifest(tmp_path / "out")["counts"]["training"]["images"] == 360
