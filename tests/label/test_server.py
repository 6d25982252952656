"""The server over HTTP: three bundles at once."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest

from common.deploy import load
from tests.commands import ROOT
from tests.label.conftest import CLASSES, Server
from tests.models import BRAINS, EYES, FILMS

pytestmark = pytest.mark.slow


def scores(server: Server, image: str = "films/p00_00") -> list[float]:
    status, told = server.ask("POST", f"/infer/{FILMS}?image={image}")
    assert status == 200, told
    return [each["score"] for each in told["prediction"]]


def test_three_bundles_answer_png_dicom_and_nifti_as_their_predictors_do(server: Server) -> None:
    info = server.ask("GET", "/info/")[1]
    assert {name: one["says"] for name, one in info["models"].items()} == {
        FILMS: "classification",
        BRAINS: "values",
        EYES: "classification",
    }
    for bundle, image in (
        (FILMS, "films/p01_02.png"),
        (FILMS, "films/header.dcm"),
        (BRAINS, "brains/b03.nii.gz"),
        (EYES, "eyes/e1.png"),
    ):
        name = image.removesuffix(".gz").rsplit(".", 1)[0]
        status, told = server.ask("POST", f"/infer/{bundle}?image={name}")
        assert status == 200, told
        folder = server.studies / ".label" / bundle / "models"
        predictor = load(bundle, folder / (folder / "current").read_text())
        expected = list(predictor.predict(server.studies / image)[0].values.values())
        said = [each["score"] for each in told.get("prediction", [])] or [told["values"]["age"]]
        assert said[-len(expected) :] == pytest.approx(expected, abs=1e-6)


def test_dicom_files_in_nested_folders_are_served_with_and_without_an_ending(
    server: Server,
) -> None:
    names = ("films/ward/2024/a", "films/ward/2024/b", "films/ward/ct")  # the last one a series
    assert set(names) <= set(server.ask("GET", "/datastore/?output=all")[1]["objects"])
    said = [scores(server, name) for name in names]
    content = (server.studies / "films/ward/ct/2").read_bytes()
    alone = server.send("POST", f"/infer/{FILMS}", "2.dcm", content)[1]["prediction"][1]["score"]
    assert said[2][1] >= alone
    assert len({tuple(one) for one in said}) == 3
    shown = server.ask("GET", f"/review/picture?model={FILMS}&image={names[2]}")[1]
    assert shown.startswith(b"\x89PNG")


def test_an_upload_is_answered_and_leaves_nothing_behind(server: Server) -> None:
    content = (server.studies / "films" / "header.dcm").read_bytes()
    before = sorted(server.studies.rglob("*"))
    status, told = server.send("POST", f"/infer/{FILMS}", "Doe^Jane.dcm", content)
    assert (status, [each["label"] for each in told["prediction"]]) == (200, list(CLASSES))
    assert sorted(server.studies.rglob("*")) == before


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a.nii.gz", "a.pkl", "a.npy", "a.pt"])
def test_a_corrupt_upload_or_a_pickle_is_refused_in_one_line(server: Server, name: str) -> None:
    content = pickle.dumps({"a": np.arange(3)})
    for method, path in (("POST", f"/infer/{FILMS}"), ("PUT", "/datastore/image?image=new")):
        status, told = server.send(method, path, name, content)
        assert status == 422, told
        assert "must be" in told["detail"]
        assert "\n" not in told["detail"]
    assert server.ask("GET", "/info/")[0] == 200


@pytest.mark.bad_input("label")
@pytest.mark.parametrize(
    "name", ["films/p00_00.png/x", "x" * 201, "films/" + "ä" * 101, "films/p00_00"]
)
def test_an_image_that_cannot_have_its_name_is_refused(server: Server, name: str) -> None:
    content = (server.studies / "films" / "p00_00.png").read_bytes()
    status, told = server.send("PUT", f"/datastore/image?image={quote(name)}", "a.png", content)
    assert (status, told["detail"].startswith("image: must be a")) == (422, True), told


@pytest.mark.bad_input("label")
@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "films/../../evil", "..%5Cevil", ".hidden", "labels/x", "a//b"]
)
def test_an_upload_cannot_leave_the_studies(server: Server, name: str) -> None:
    content = (server.studies / "films" / "p00_00.png").read_bytes()
    status, told = server.send("PUT", f"/datastore/image?image={name}", "a.png", content)
    assert (status, "below the folder of the studies" in told["detail"]) == (422, True)
    assert not list(server.studies.parent.rglob("evil*"))


@pytest.mark.bad_input("label")
def test_no_file_of_the_server_can_be_read_by_its_path(server: Server) -> None:
    for image in ("/etc/passwd", str(ROOT / "README.md"), "../README", ""):
        assert server.ask("POST", f"/infer/{FILMS}?image={image}")[0] == 404
        assert server.ask("GET", f"/review/picture?model={FILMS}&image={image}")[0] == 404
    path = server.studies / "films" / "p00_00.png"
    assert server.ask("POST", f"/infer/{FILMS}?image={path}")[0] == 404


@pytest.mark.bad_input("label")
def test_pages_of_other_sites_and_other_host_names_are_refused(server: Server) -> None:
    assert server.ask("POST", f"/train/{FILMS}", {}, Origin="http://evil.example")[0] == 403
    assert server.ask("GET", "/info/", Host="evil.example")[0] == 400


def test_weights_archives_and_other_viewers_have_no_route(server: Server) -> None:
    for method, path in (("PUT", f"/model/{FILMS}"), ("PUT", "/session/"), ("GET", "/logs/")):
        assert server.ask(method, path)[0] in (404, 405)


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("content", [b"no json", b"[]", b'{"label": "tumour?", "age": 200}', b"{}"])
def test_a_label_that_is_none_is_refused(server: Server, content: bytes) -> None:
    path = "/datastore/label?image=films/p00_00"
    status, told = server.send("PUT", path, "x.json", content, "label")
    assert (status, told["detail"].startswith("label")) == (422, True)


@pytest.mark.bad_input("label")
def test_a_label_of_no_class_or_of_another_bundles_image_is_refused(server: Server) -> None:
    for image, label, words in (
        ("films/p00_00", {"label": "tumour"}, "label: must be clear, lesion, got 'tumour'"),
        ("eyes/e0", {"label": "spots", "bundle": FILMS}, "label: bundle must be one"),
        ("films/p00_00", {"age": 40}, "label: must name a class"),
    ):
        content = json.dumps(label).encode()
        path = f"/datastore/label?image={image}"
        status, told = server.send("PUT", path, "x.json", content, "label")
        assert (status, told["detail"].startswith(words)) == (422, True), told
    about = {"image": "eyes/e0", "model": FILMS, "label": "lesion"}
    assert server.ask("POST", "/review/label", about)[0] == 422
    assert not (server.studies / "labels/final/eyes").exists()


def test_a_number_is_kept_as_the_name_of_its_class(server: Server) -> None:
    path = "/datastore/label?image=films/p00_01"
    assert server.send("PUT", path, "x.json", b'{"label": 1}', "label")[0] == 200
    kept = json.loads((server.studies / "labels/final/films/p00_01.json").read_text())
    assert kept == {"label": CLASSES[1]}
    assert server.ask("DELETE", "/datastore/label?id=films/p00_01&tag=final")[0] == 200


@pytest.mark.bad_input("label")
def test_a_label_that_is_a_link_is_neither_read_nor_written_nor_removed(server: Server) -> None:
    secret = server.studies.parent / "secret.json"
    secret.write_text('{"label": "lesion"}')
    image, link = "films/ward/2024/a", server.studies / "labels/final/films/ward/2024/a.json"
    path = f"/datastore/label?image={image}"
    assert server.send("PUT", path, "x.json", b'{"label": "clear"}', "label")[0] == 200
    link.unlink()
    link.symlink_to(secret)
    assert server.ask("GET", f"/datastore/label?label={image}&tag=final")[0] == 404
    assert server.send("PUT", path, "x.json", b'{"label": "clear"}', "label")[0] == 422
    server.ask("DELETE", f"/datastore/label?id={image}&tag=final")
    assert secret.read_text() == '{"label": "lesion"}'
    assert "1 that are links to elsewhere" in server.ask("GET", "/train/")[1]["unread"]
    link.unlink()


@pytest.mark.bad_input("label")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/activelearning/margin", {"skip": 5}),
        ("/activelearning/margin", {"skip": [["a"]]}),
        ("/activelearning/margin", {"strategy": {"a": 1}}),
        ("/review/next", {"model": ["a"]}),
        ("/review/label", {"model": FILMS, "image": "films/p00_00", "label": ["a"]}),
        ("/scoring/embeddings", {"model": 5}),
        ("/scoring/nix", {}),
        ("/train/nix", {}),
        (f"/train/{FILMS}", [5]),
        (f"/train/{FILMS}", b"no json"),
        (f"/train/{FILMS}", {"epohcs": 5}),
        (f"/train/{FILMS}", {"epochs": "abc"}),
        (f"/train/{FILMS}", {"gpus": 5}),
        (f"/infer/{FILMS}", {}),
    ],
)
def test_a_request_of_another_kind_is_told_in_one_sentence(
    server: Server, path: str, body: object
) -> None:
    status, told = server.ask("POST", path, body, **{"Content-Type": "application/json"})
    assert 400 <= status < 500, told
    assert isinstance(told["detail"], str)
    assert "must" in told["detail"] or "is no dial" in told["detail"]


def test_twenty_at_once_are_all_answered(server: Server) -> None:
    images = [f"films/p{number // 2:02d}_{number:02d}" for number in range(20)]
    alone = [scores(server, image) for image in images[:3]]
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(lambda image: scores(server, image), images))
    assert together[:3] == alone
    assert len({tuple(each) for each in together}) == 20


def test_a_new_image_is_taken_in_and_answered(server: Server) -> None:
    content = (server.studies / "films" / "p03_06.png").read_bytes()
    status, told = server.send("PUT", "/datastore/image?image=films/p90_new", "a.png", content)
    assert (status, told) == (200, {"image": "films/p90_new"})
    assert scores(server, "films/p90_new") == scores(server, "films/p03_06")


def propose(server: Server, strategy: str) -> dict[str, str]:
    status, told = server.ask("POST", f"/activelearning/{strategy}", {"model": FILMS})
    assert status == 200, told
    return dict(told)


def test_labels_move_the_proposals_and_training_changes_the_answers(server: Server) -> None:
    server.embed()
    strategies = ("combined", "k_centre", "typicality", "margin")
    before = {name: propose(server, name) for name in strategies}
    films = {f"films/p{number:02d}_{2 * number:02d}": number % 2 for number in range(12)}
    for image, kind in ({one["id"]: 0 for one in before.values()} | films).items():
        label = json.dumps({"label": CLASSES[kind]}).encode()
        path = f"/datastore/label?image={image}"
        assert server.send("PUT", path, "x.json", label, "label")[0] == 200
    after = {name: propose(server, name) for name in strategies}
    assert all(after[name]["id"] != before[name]["id"] for name in strategies)
    assert all(len(after[name]["why"]) > 20 for name in strategies)
    assert all("broken" not in after[name]["id"] for name in strategies)
    old, settings = scores(server), {"epochs": 1, "batch_size": 8, "seed": 3}
    assert server.ask("POST", f"/train/{FILMS}", settings)[0] == 200
    done = server.until("/train/", lambda told: told["status"] in ("DONE", "ERROR"))
    assert done["status"] == "DONE", done["details"]
    assert scores(server) != old
    made = json.loads(
        (server.studies / ".label" / FILMS / "training/data/manifest.json").read_text()
    )
    assert made["classes"] == {"label": list(CLASSES)}
    assert " patients of " in done["bundles"][FILMS]["patients"]
    assert server.ask("GET", "/info/")[1]["train_stats"][FILMS]["figure"].startswith("AUC ")


def test_ages_of_volumes_are_learnt(server: Server) -> None:
    def age() -> float:
        told = server.ask("POST", f"/infer/{BRAINS}?image=brains/b20")[1]
        return float(told["values"]["age"])

    before = age()
    for number in range(30):
        label = json.dumps({"age": 20 + 2 * number, "site": "abc"[number % 3]}).encode()
        path = f"/datastore/label?image=brains/b{number:02d}"
        assert server.send("PUT", path, "x.json", label, "label")[0] == 200
    assert server.ask("POST", f"/train/{BRAINS}", {"epochs": 1, "batch_size": 8})[0] == 200
    done = server.until("/train/", lambda told: told["status"] in ("DONE", "ERROR"))
    assert done["status"] == "DONE", done["details"]
    assert 15 < age() < 85 != before


@pytest.mark.bad_input("label")
def test_a_training_that_cannot_be_ends_in_its_sentence(server: Server) -> None:
    assert server.ask("POST", f"/train/{EYES}", {"epochs": 1})[0] == 200
    done = server.until("/train/", lambda told: told["status"] in ("DONE", "ERROR"))
    assert done["status"] == "ERROR"
    assert "must have labels of 3 patients or more" in done["details"][-1]


@pytest.mark.bad_input("label")
def test_a_second_server_over_the_same_studies_ends_in_one_line(server: Server) -> None:
    words = ["--studies", str(server.studies), "--bundles", FILMS, "--port", "0"]
    command = [sys.executable, "-W", "ignore", "-m", "common.label", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "one process at a time must write to studies that are labelled" in done.stderr


def test_no_name_of_a_patient_or_a_file_is_in_the_log(server: Server) -> None:
    scores(server, "films/header")
    log = server.log.read_text()
    for name in ("Jane", "header", "p00_00", "b03", "broken"):
        assert name not in log
    assert "answered in" in log or log.count("\n") < 20
