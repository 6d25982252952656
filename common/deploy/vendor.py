"""A copy of this code for one bundle, under a name that no other bundle has.

Python has one module of a name. Bundles that each bring a package ``common`` (or ``scripts``) run
the code of whichever was imported first; so the copy in ``scripts/common`` of a packed bundle is
imported as ``<bundle>_<digest of the code>.common``, a package whose path is ``scripts``.
"""

import ast
import hashlib
import re
from pathlib import Path

import common
from common.checks import require

__all__ = ["rooms_of", "vendor"]

ROOT = Path(common.__file__).parent
ALIAS = '''"""This bundle's own code under a name of its own, beside that of other bundles."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parent.parent / "scripts")]
'''
_FROM = re.compile(r"^( *)from common((?:\.\w+)*) import ", re.MULTILINE)
_IMPORT = re.compile(r"^( *)import common$", re.MULTILINE)


def rooms_of(texts: list[str]) -> set[str]:
    """Return the rooms of `common` that configurations build from, with those they import.

    Args:
        texts: of the configurations, whose ``_target_`` say what is built.
    """
    targets = {name for text in texts for name in re.findall(r'"common\.(\w+)[\w.]*"', text)}
    needed: set[str] = set()
    waiting = sorted(targets)
    while waiting:
        room = waiting.pop()
        if room not in needed:
            needed.add(room)
            waiting += [name for path in _files(room) for name in _imported(path)]
    return needed


def vendor(bundle: str, texts: list[str], target: Path) -> str:
    """Copy what a bundle imports to ``target/scripts/common``; return the package's name.

    Args:
        bundle: its name.
        texts: of its configurations.
        target: folder of the packed bundle.

    Returns:
        The name before ``.common`` in imports and ``_target_``.
    """
    sources = [ROOT / "__init__.py", ROOT / "py.typed"]
    sources += [path for room in sorted(rooms_of(texts)) for path in _files(room, "*")]
    content = {path.relative_to(ROOT): path.read_bytes() for path in sources}
    digest = hashlib.sha256()
    for name, data in sorted(content.items()):
        digest.update(name.as_posix().encode() + b"\0" + data + b"\0")
    package = f"{bundle}_{digest.hexdigest()[:8]}"
    for name, data in content.items():
        path = target / "scripts" / "common" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_renamed(data, package, name) if name.suffix == ".py" else data)
    alias = target / package / "__init__.py"
    alias.parent.mkdir()
    alias.write_text(ALIAS, encoding="utf-8")
    return package


def _files(room: str, suffix: str = "*.py") -> list[Path]:
    """The files of a room, which is a folder or one module."""
    if not (ROOT / room).is_dir():
        return [path for path in (ROOT / f"{room}.py",) if path.is_file()]
    files = sorted((ROOT / room).rglob(suffix))
    return [path for path in files if path.is_file() and "__pycache__" not in path.parts]


def _imported(path: Path) -> set[str]:
    """The rooms that a file imports from, anywhere in it."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("common."):
            imported.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "common":
            imported |= {alias.name for alias in node.names}
    return {room for room in imported if _files(room)}


def _renamed(data: bytes, package: str, name: Path) -> bytes:
    """A source with imports from the package."""
    text = _FROM.sub(rf"\1from {package}.common\2 import ", data.decode())
    text = _IMPORT.sub(rf"\1from {package} import common", text)
    left = [
        alias.name
        for node in ast.walk(ast.parse(text))
        for alias in (node.names if isinstance(node, ast.Import) else [])
        if alias.name.split(".")[0] == "common"
    ]
    require(not left, f"common/{name}: must import by 'from common.ROOM import', got {left}.")
    return text.encode()
