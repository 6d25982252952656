"""What a bundle's configuration calls first, and what it knows of itself.

- `guard`: typos are errors, and errors are one line;
- `unknown_keys`: the keys of later layers that the first does not have;
- `current_parser`: the MONAI parser that is building the caller.
"""

from common.config.guard import guard, unknown_keys
from common.config.parser import current_parser

__all__ = ["current_parser", "guard", "unknown_keys"]
