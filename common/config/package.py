"""The name under which this code was imported: ``common``, or that of a packed bundle's own copy.

A bundle that `common.deploy.pack` packed carries this code under a name that no other bundle has,
and so do the blocks (``_target_``) of its configurations. What it trains can be read by the project
and by other copies: a record's blocks are read as those of whoever reads them.
"""

import re
from typing import Any

__all__ = ["PACKAGE", "own_targets"]

PACKAGE = __name__.rpartition(".config.")[0]
_OURS = re.compile(r"(?:\w+\.)?common(?=\.)")


def own_targets(content: Any) -> Any:
    """Return a configuration whose blocks of any copy of this code are of this one."""
    if isinstance(content, dict):
        return {
            key: _OURS.sub(PACKAGE, value, count=1)
            if key == "_target_" and isinstance(value, str) and _OURS.match(value)
            else own_targets(value)
            for key, value in content.items()
        }
    return list(map(own_targets, content)) if isinstance(content, list) else content
