"""Where in a motion a viewer is, and how it moves on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Timeline:
    """Time between begin and end, s, at `pace` times real time while it plays; after the end it begins again."""

    begin: float
    end: float
    pace: float = 1.0
    playing: bool = False

    def __post_init__(self) -> None:
        self.now = self.begin

    def play(self) -> None:
        """Go on, from the beginning where the end was reached."""
        if self.now >= self.end:
            self.now = self.begin
        self.playing = True

    def pause(self) -> None:
        """Stay."""
        self.playing = False

    def scrub(self, time: float) -> None:
        """Go to a moment, s."""
        self.now = min(max(time, self.begin), self.end)

    def advance(self, elapsed: float) -> bool:
        """Real time passes, s; whether that moved the motion on."""
        if not self.playing:
            return False
        self.now += elapsed * self.pace
        if self.now > self.end:
            self.now = self.begin
        return True
