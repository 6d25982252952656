"""The map of the rooms in ``common/__init__.py`` says what each of them imports."""

import ast
import re
import sys
from pathlib import Path

import common

ROOT = Path(common.__file__).parent


def imported(path: Path) -> set[str]:
    """Rooms that a module imports from."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "common":
            names |= {f"common.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("common.")}


def test_the_map_of_the_rooms_names_what_each_imports() -> None:
    lines = (common.__doc__ or "").replace("\n  ", " ")
    message = dict(re.findall(r"^- `common\.(\w+)` → (.+)$", lines, re.MULTILINE))
    rooms = {path.stem for path in ROOT.iterdir() if path.suffix in ("", ".py")}
    actual = {}
    for room in rooms - {"__init__", "__main__", "__pycache__"}:
        inside = ROOT / room
        files = inside.rglob("*.py") if inside.is_dir() else [inside.with_suffix(".py")]
        actual[room] = set().union(*map(imported, files)) - {room}
    assert {room: set(line.split(", ")) - {"nothing"} for room, line in message.items()} == actual
    order = list(message)
    assert all(order.index(other) < order.index(room) for room in actual for other in actual[room])


def test_importing_the_losses_costs_no_more_than_importing_torch() -> None:
    names = ("__init__", "checks", "distributed", "kernels", "text")
    files = [*(ROOT / "losses").glob("*.py"), *(ROOT / f"{name}.py" for name in names)]
    packages = set()
    for node in (node for path in files for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add(str(node.module).split(".")[0])
    assert packages - sys.stdlib_module_names == {"common", "torch"}
