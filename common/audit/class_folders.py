"""The label of a plain folder: the names of the folders directly below it, where they are classes.

Many folders, or small ones, are more often patients or dates: then nothing is taken, and it is said
why.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from common.data import image_datalist
from common.report.words import plural

__all__ = ["labelled"]

FOLDERS, IMAGES = (2, 20), 5  # how many name classes, and images of each


def labelled(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Entries of a plain folder, labelled by the folders below it, or why they are not.

    Returns:
        What `image_datalist` gives, with "label", a name, where it is known; and a sentence, ""
        where there is nothing to say.
    """
    entries = image_datalist(folder)
    parts = [Path(str(entry["name"])).parts for entry in entries]
    groups = [names[0] if len(names) > 1 else "" for names in parts]
    counts = Counter(groups)
    low, high = FOLDERS
    if set(counts) <= {""}:  # no folders
        return entries, ""
    few = sum(count < IMAGES for count in counts.values())
    if "" in counts:
        reason = f"{plural(counts[''], 'image')} beside them"
    elif not low <= len(counts) <= high:
        reason = plural(len(counts), "folder")
    elif few:
        reason = f"{plural(few, 'folder')} with fewer"
    else:
        said = (
            f"The label is the name of the folder that an image lies in, of {len(counts)}; the "
            "names stand on the page. If they are patients, move the images into one folder."
        )
        return [{**entry, "label": group} for entry, group in zip(entries, groups)], said
    return entries, (
        f"Folders were not taken as the label: they must be {low} to {high} with {IMAGES} images "
        f"or more each and no image beside them, got {reason}. python -m data_prep folders makes a "
        "label of any number of class folders."
    )
