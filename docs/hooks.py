"""What `make docs` adds to the pages of this folder.

The pages of the repository (READMEs, benchmarks, changelog) as they are, one page a room of
`common` made from its docstrings, and the pictures of `docs/pictures.py`. Links between pages, and
from a page to a picture of `docs/pictures`, are kept; those to files that are no page become plain
text.
"""

import ast
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[1]

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "bundles/README.md",
    *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("bundles/*/docs/README.md"))),
    *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("benchmarks/*.md"))),
)
CARDS = tuple(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("bundles/*/docs/model_card.md")))
ROOMS = ("kernels", *sorted(p.parent.name for p in ROOT.glob("common/*/__init__.py")))
PICTURE = re.compile(r"(!\[[^\]]*\]\()([^)\s:]+)\)")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
OPTIONS = "    options:\n      members: {members}\n"


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages of the repository, of the rooms, and the pictures."""
    for path in PAGES:
        files.append(File.generated(config, path, content=(ROOT / path).read_text()))
    for path in CARDS:  # the bundles' pages lead to them
        card = File.generated(config, path, content=(ROOT / path).read_text())
        card.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(card)
    for room in ROOMS:
        files.append(File.generated(config, f"api/{room}.md", content=room_page(room)))
    files.append(File.generated(config, "api/data_prep.md", content=sources_page()))
    sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
    from pictures import strips  # needs torch

    drawn = strips()
    for strip in drawn:
        files.append(File.generated(config, f"pictures/{strip.name}.png", content=strip.png))
    page = "".join(figure(strip) for strip in drawn)
    written = (ROOT / "docs" / "transformations.md").read_text()
    files.remove(files.src_uris["transformations.md"])
    files.append(File.generated(config, "transformations.md", content=f"{written}\n{page}"))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Lead the links of a page to the pages of the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(f"docs/{here}" if (ROOT / "docs" / here).is_file() else here)

    def shown(match: re.Match[str]) -> str:
        target = place(posixpath.normpath(posixpath.join(folder, match[2])))
        return f"{match[1]}{posixpath.relpath(target, posixpath.dirname(here) or '.')})"

    def led(match: re.Match[str]) -> str:
        text, link, part = match[1], match[2], match[3] or ""
        if not link or re.match(r"[a-z]+:", link):
            return match[0]
        target = place(posixpath.normpath(posixpath.join(folder, link)))
        if target not in files.src_uris:
            return text
        return f"[{text}]({posixpath.relpath(target, posixpath.dirname(here) or '.')}{part})"

    return LINK.sub(led, PICTURE.sub(shown, markdown))


def place(path: str) -> str:
    """Return where a file or folder of the repository is on the site."""
    room = re.fullmatch(r"common/(\w+)(?:/__init__\.py|\.py)?", path)
    if path == "data_prep" or (room and room[1] in ROOMS):
        return f"api/{room[1] if room else path}.md"
    if (ROOT / path).is_dir():
        return f"{path}/README.md"
    return path.removeprefix("docs/")


def room_page(room: str) -> str:
    """Return the page of a room: its door, then each file behind it."""
    if not (ROOT / "common" / room).is_dir():
        return f"# common.{room}\n\n::: common.{room}\n"
    tree = tree_of(f"common.{room}")
    public = exported(tree)
    parts = [f"# common.{room}\n\n::: common.{room}\n    options:\n      members: false\n"]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("common."):
            names = [alias.name for alias in node.names]
            if node.module == f"common.{room}":  # a module of the room, opened as it is
                parts += [section(f"common.{room}.{name}", None) for name in names]
            elif set(names) & public:
                own = exported(
                    ast.parse((ROOT / f"{node.module.replace('.', '/')}.py").read_text())
                )
                parts.append(section(str(node.module), sorted(own | (set(names) & public))))
    return "\n".join(parts)


def sources_page() -> str:
    """Return the page of `data_prep`: what each source reads, writes and should count."""
    pages = [p for p in ROOT.glob("data_prep/**/*.py") if "\ndef plan(options" in p.read_text()]
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in pages}
    names = {name.removesuffix(".source") for name in names} | {"data_prep.machinery"}
    return "# data_prep\n" + "".join(section(name, []) for name in sorted(names))


def section(module: str, members: list[str] | None) -> str:
    """Return one module under a heading of its own."""
    listed = "false" if members == [] else f"[{', '.join(members or [])}]"
    options = "" if members is None else OPTIONS.format(members=listed)
    title = re.sub(r"^data_prep\.|^common\.\w+\.", "", module)
    return f"\n## {title}\n\n::: {module}\n{options}"


def tree_of(module: str) -> ast.Module:
    """Return the syntax of a module or of a room's door."""
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text())


def exported(tree: ast.Module) -> set[str]:
    """Return the names in ``__all__``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def figure(strip: Any) -> str:
    """Return the picture of one transformation with the values of lambda below it."""
    labels = ["as it is", f"λ = 0: {strip.zero}", "λ = ¼", "λ = ½", "λ = ¾", f"λ = 1: {strip.one}"]
    words = "".join(f"<span>{label}</span>" for label in labels)
    return (
        f"## {strip.name}\n\n"
        f'<figure class="strip" markdown="0">'
        f'<img src="../pictures/{strip.name}.png" alt="{strip.name} from λ = 0 to λ = 1">'
        f"<figcaption>{words}</figcaption></figure>\n\n"
    )
