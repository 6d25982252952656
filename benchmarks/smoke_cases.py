"""How `smoke.py` runs each benchmark: arguments, smaller constants, drawn data; or why not."""

from dataclasses import dataclass

from smoke_data import (
    Prepare,
    constants,
    counted_pictures,
    drawn_brains,
    drawn_cells,
    drawn_digits,
    drawn_eyes,
    drawn_h,
    drawn_images,
    drawn_places,
    drawn_table,
    drawn_volumes,
    few_films,
    few_names,
    few_pictures,
    in_forks,
    one_pass,
    phantom,
    stored_pictures,
    without_processes,
)


@dataclass(frozen=True)
class Case:
    """How one script is run.

    Attributes:
        words: its arguments; ``OUT`` is an empty folder.
        writes: the file it must write into that folder.
        prepare: changes its constants, and draws what it would read.
        needs: packages without which it is skipped.
    """

    words: str
    writes: str
    prepare: Prepare = lambda module: None
    needs: tuple[str, ...] = ()


CASES = {
    "losses": Case("--sizes 16 --out OUT/losses.json", "losses.json", one_pass),
    "decoupled_uniformity": Case("--sizes 16 --out OUT/du.json", "du.json", one_pass),
    "cost_of_m": Case(
        "--size 16 --batch 2 --channels 4 8 --steps 2 --repeats 2 --out OUT/m.json", "m.json"
    ),
    "crop_windows": Case("--out OUT/windows.json", "windows.json", constants(IMAGES=2, DRAWN=2)),
    "transforms": Case(
        "--repeats 1 --out OUT/transforms.json",
        "transforms.json",
        constants(PICTURES=(4, 1, 64, 64), VOLUMES=(2, 1, 32, 32, 32)),
        ("kornia",),
    ),
    "views_dino": Case("--repeats 1 --out OUT/views.json", "views.json", few_pictures),
    "ssl_steps": Case(
        "--turns 2 --processes 1 --out OUT/steps.json",
        "steps.json",
        constants(BATCH=16, OUTPUTS=64, UNCOUNTED=1),
        ("lightly",),
    ),
    "gradient_caching": Case(
        "--side 16 --width 0.125 --batches 8 --out OUT/caching.json", "caching.json", in_forks
    ),
    "evaluation_heads": Case(
        "--tables small --heads site --rounds 1 --out OUT/heads.json",
        "heads.json",
        without_processes,
    ),
    "brats_prep": Case(
        "--patients 2 --workers 1 --repeats 1 --json OUT/brats.json",
        "brats.json",
        constants(SHAPE=(50, 50, 30)),
    ),
    "options": Case(
        "--options bfloat16 --turns 2 --out OUT/options.json",
        "options.json",
        constants(
            NETWORKS={
                "ResNet18, 2D": {"dimensions": 2, "width": 0.125, "batch": 4, "side": 32},
                "ResNet18, 3D": {"dimensions": 3, "width": 0.125, "batch": 4, "side": 16},
            }
        ),
    ),
    "reading": Case(
        "--work OUT/films --films 1 --size 64 --turns 2 --out OUT/reading.json", "reading.json"
    ),
    "digit_clusters": Case(
        "--source - --out OUT --batch 32 --queue 64 --width 0.03125 --groups 2",
        "digit_clusters.json",
        drawn_digits("read", 32),
    ),
    "ssl_methods": Case(
        "--source - --out OUT --epochs 1",
        "ssl_methods.json",
        drawn_digits("read_both", 28, SETTINGS={"width": 0.0625, "batch": 60, "queue": 128}),
    ),
    "ssl_peers": Case(
        "--source - --out OUT --seeds 0",
        "ssl_peers.json",
        drawn_digits("read_both", 28, SETTINGS={"width": 0.0625, "batch": 60, "epochs": 1}),
        ("lightly",),
    ),
    "view_distances": Case("--data - --out OUT --seeds 0", "view_distances.json", drawn_images),
    "decoupled_uniformity_images": Case(
        "--data - --out OUT --sets cifar10 --seeds 0 --set channels=[4,8]",
        "decoupled_uniformity_images.json",
        drawn_images,
    ),
    "kernel_width": Case(
        "--source - --out OUT --seeds 0 --table ixi",
        "kernel_width_ixi.json",
        drawn_table(WIDTHS=(5.0,)),
    ),
    "federated": Case("--source - --out OUT --seeds 0", "federated.json", drawn_table(ROUNDS=2)),
    "bundle_costs": Case(
        "--bundles digits_trainable_crop --sizes small --out OUT/costs.json", "costs.json"
    ),
    "store": Case(
        "--images OUT/images.zip --out OUT", "store.json", stored_pictures, needs=("lmdb",)
    ),
    "million": Case(
        "--count 2000 --only make read start workers --out OUT", "million.json", few_names
    ),
    "predict": Case(
        "--source OUT --work OUT/work --films 8 --turns 1 --out OUT/predict.json",
        "predict.json",
        few_films,
        ("psutil",),
    ),
    "scale": Case("--pictures OUT/pictures --out OUT/scale.json", "scale.json", counted_pictures),
    "active_learning": Case("--data - --out OUT --sets eyes", "active_learning.json", drawn_h),
    "brain_age_ixi": Case(
        "--source - --out OUT --models l1 y-aware --seeds 0", "brain_age_ixi.json", drawn_brains
    ),
    "brain_age_heads": Case(
        "--training - --heads - --out OUT", "brain_age_heads.json", drawn_brains
    ),
    "site_probes": Case(
        "--source - --out OUT --table openneuro --seeds 0",
        "site_probes_openneuro.json",
        drawn_table(),
    ),
    "cell_clusters": Case(
        "--source - --out OUT --steps 2 --sets set_1", "cell_clusters.json", drawn_cells
    ),
    "fundus_dino": Case(
        "--data - --out OUT --settings weak strong --seeds 0 --set width=16",
        "fundus_dino.json",
        drawn_eyes,
    ),
    "trainable_crop_places": Case(
        "--data - --out OUT --sets fundus --seeds 0", "trainable_crop_places.json", drawn_places
    ),
    "tumours_3d": Case(
        "--source - --out OUT --seeds 0 --epochs 1 --strategies random random_supervised",
        "strategies.json",
        drawn_volumes,
    ),
    "strategies": Case(
        "--data OUT/data --out OUT --seeds 0 --strategies random random_supervised --set epochs=1"
        " image_size=32 channels=[4,8] batch_size=8",
        "strategies.json",
        phantom,
    ),
    "audit_proposal": Case(
        "--data OUT/data --out OUT --seeds 0 --set epochs=1 image_size=32 channels=[4,8]",
        "audit_proposal.json",
        phantom,
    ),
    "killed_runs": Case(
        "--kills 2 --epochs 6 --out OUT", "killed_runs.json", constants(LATEST=0.3)
    ),
    "predict_many": Case(
        "--work OUT/work --pictures 3000 --every 0.02 --out OUT/many.json",
        "many.json",
        needs=("psutil",),
    ),
}

TRAINS = "trains for hours, on images that are not part of the repository"
EXPERIMENTS = {
    "audit": "audits images that are not part of the repository, beside encoders trained on them",
    "biased_mnist": TRAINS,
    "brain_age_tables": "chooses settings by nested folds: minutes at any size",
    "brain_age_weights": TRAINS,
    "brain_t1_prep": "registers raw heads: a minute each",
    "chest_xray_kermany": TRAINS,
    "chest_xray_weights": TRAINS,
    "class_bias": TRAINS,
    "demo": "is the demo of the README, which a test runs",
    "familiarity": TRAINS,
    "inserted_lesions": "reads brains that are not part of the repository; writes no figures",
    "tumour_strategies": "puts together what strategies.py wrote",
}
