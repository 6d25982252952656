"""What makes a packed bundle's folder an app of MONAI Deploy (`common.deploy.app`).

::

    <bundle>/__main__.py       python <bundle> -i IMAGES -o OUTPUT
    <bundle>/app.yaml          what MONAI Deploy's packager is told
    <bundle>/requirements.txt  the packages that the app needs, which the packager installs
"""

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["write_app"]

SDK = {  # tried together, 2026-11-30
    "monai-deploy-app-sdk": "4.0.0",
    "holoscan-cu13": "4.6.0",
    "highdicom": "0.28.2",
}
MAIN = '''"""This bundle as an app of MONAI Deploy: python {bundle} -i IMAGES -o OUTPUT."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

try:
    import highdicom  # for the DICOM reports

    from {package}.common.deploy.app import main
except ImportError as error:
    cure = f"pip install -r {{FOLDER / 'requirements.txt'}}"
    sys.exit(f"error: {bundle} needs more ({{str(error).splitlines()[0]}}). {{cure}}")

if __name__ == "__main__":
    sys.exit(main(FOLDER, sys.argv[1:]))
'''
ABOUT = """%YAML 1.2
---
application:
  title: {title}
  version: {version}
  inputFormats: ["file"]
  outputFormats: ["file"]

resources:
  cpu: 2
  gpu: 0
  memory: 4Gi
"""


def write_app(folder: Path, package: str, packages: Mapping[str, str], version: str) -> None:
    """Write the three files.

    Args:
        folder: the packed bundle, which has its name.
        package: what its code is imported as.
        packages: what that code needs: name and version.
        version: of the bundle.
    """
    bundle = folder.name
    main = MAIN.format(bundle=bundle, package=package)
    (folder / "__main__.py").write_text(main, encoding="utf-8")
    about = ABOUT.format(title=json.dumps(f"{bundle} (research only)"), version=json.dumps(version))
    (folder / "app.yaml").write_text(about, encoding="utf-8")
    lines = [f"{name}=={number}\n" for name, number in {**packages, **SDK}.items()]
    (folder / "requirements.txt").write_text("".join(lines), encoding="utf-8")
