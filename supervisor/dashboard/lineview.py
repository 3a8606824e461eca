"""A scrolling view of lines, the base of all panes.  Only lines that changed are drawn again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from supervisor.dashboard.spans import TONES, Line, joined, width


class LineView(ScrollView):
    """Lines by index; `overlay` names the component class of lines that stand out as a whole."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"tone--{tone}" for tone in TONES} | {"line--cursor", "line--loud"}

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []
        self._styles_made: dict[tuple[str, str, str], Style] = {}
        self._titled = ""

    @property
    def lines(self) -> Sequence[Line]:
        """The lines that are shown."""
        return self._lines

    @property
    def room(self) -> int:
        """Cells for text in a line, without borders and scrollbar."""
        return self.scrollable_content_region.width

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these lines; only those in view that changed are drawn again."""
        old, self._lines = self._lines, list(lines)
        self._scroll_over(len(lines))
        top = self.scroll_offset.y
        both = min(len(old), len(lines))
        self.draw_again(
            index - top
            for index in range(top, min(top + self.size.height, max(len(old), len(lines))))
            if index >= both or old[index] != lines[index]
        )

    def _scroll_over(self, lines: int) -> None:
        """Set the number of lines.  To set `virtual_size` lays out the whole screen and draws it again; that is left
        out where the scrollbar neither comes nor goes and the lines in view stay where they are."""
        room, bar = self.container_size.height, self.show_vertical_scrollbar
        if bar != (lines > room) or self.scroll_offset.y > max(0, lines - room):
            self.virtual_size = Size(0, lines)
        elif lines != self.virtual_size.height:
            self.set_reactive(LineView.virtual_size, Size(0, lines))
            if bar:
                self.vertical_scrollbar.window_virtual_size = lines

    def draw_again(self, lines: Iterable[int]) -> None:
        """Draw these lines again, counted from the top of the pane."""
        if regions := [Region(0, y, self.size.width, 1) for y in lines]:
            self.refresh(*regions)

    def entitle(self, title: str) -> None:
        """Write this into the border.  To set a title draws the whole pane again, even if it is the same."""
        if title != self._titled:
            self.border_title = self._titled = title

    def line_at(self, index: int) -> Line:
        """The line with this index; an empty one where there is none."""
        return self._lines[index] if 0 <= index < len(self._lines) else ()

    def overlay(self, index: int) -> str:
        """The component class laid over a line, or nothing."""
        return ""

    def render_line(self, y: int) -> Strip:
        offset = self.scroll_offset
        return self.strip(y + offset.y, offset.x)

    def strip(self, index: int, left: int = 0) -> Strip:
        """One line as the terminal gets it."""
        over = self.overlay(index)
        line = self.line_at(index)
        segments = [Segment(text, self._style(tone, action, over)) for text, tone, action in joined(line)]
        return Strip(segments, width(line)).crop_extend(left, left + self.size.width, self._style("", "", over))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles_made.clear()

    def _style(self, tone: str, action: str, over: str) -> Style:
        """The style of a tone below an overlay; each style is made once."""
        key = (tone, action, over)
        made = self._styles_made.get(key)
        if made is None:
            made = self._styles_made[key] = self._make_style(tone, action, over)
        return made

    def _make_style(self, tone: str, action: str, over: str) -> Style:
        style = self.rich_style
        laid = self.get_component_rich_style(over) if over else Style()
        if laid.bold:
            style += laid
        elif laid.reverse:
            style += Style(reverse=True)
        elif over:
            style += Style(bgcolor=laid.bgcolor)
        if tone and not laid.reverse:
            tint = self.get_component_rich_style(f"tone--{tone}")
            if tone == "hit":
                style += tint
            elif not laid.bold:  # text is tinted towards its background, but lets a line's own background through
                style += Style(color=tint.color, bold=tint.bold, dim=tint.dim)
        return style + Style(meta={"@click": action}) if action else style
