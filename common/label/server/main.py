"""What MONAI Label loads: its app folder is the one that this file lies in."""

from common.label.server.app import LabelApp

__all__ = ["LabelApp"]
