"""A replay in the browser: the robot walking in 3D as recorded and as replayed, with a time line and joint plots."""

from robotps.view.page import ReplayView

__all__ = ["ReplayView"]
