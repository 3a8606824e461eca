"""Makes an SVG file of matplotlib smaller without a visible change, and identical for identical figures.

Matplotlib repeats the style of each element, writes six decimals, and names clip paths and markers by random ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from math import hypot
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

_NAMESPACE = re.compile(r"\{[^}]*\}")
_REFERENCE = re.compile(r"(?<=#)[\w-]+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LINE = re.compile(r"M (?P<points>[-\d. ]+(?: L [-\d. ]+)+)")
_TOLERANCE = 0.5
"""Points by which a simplified line may differ from the original one."""

Point = tuple[float, float]


def compact(svg: str) -> str:
    """The same picture in fewer bytes."""
    root = fromstring(svg)
    styles: dict[str, str] = {}
    ids: dict[str, str] = {}
    for node in root.iter():
        for name in [name for name in node.attrib if name != _plain(name)]:
            node.set(_plain(name), node.attrib.pop(name))
        node.tag = _plain(node.tag)
        for value in (node.get("href", ""), node.get("clip-path", "")):
            for reference in _REFERENCE.findall(value):
                ids.setdefault(reference, f"i{len(ids)}")
    _prune(root, ids)
    for node in root.iter():
        node.text = (node.text or "").strip()
        node.tail = "\n"
        for name, value in list(node.attrib.items()):
            node.set(name, _shorter(name, value, ids))
        if node.get("transform", "").startswith("rotate(-0 "):
            del node.attrib["transform"]
        if (style := node.attrib.pop("style", None)) is not None:
            node.set("class", styles.setdefault(style, f"c{len(styles)}"))
    sheet = SubElement(root, "style")
    sheet.text = "*{stroke-linejoin:round}\n" + "\n".join(f".{name}{{{style}}}" for style, name in styles.items())
    root.set("xmlns", "http://www.w3.org/2000/svg")
    return tostring(root, encoding="unicode").replace(" />", "/>")


def simplified(points: Sequence[Point], tolerance: float) -> list[Point]:
    """The fewest of the points whose line stays within `tolerance` of all of them (Ramer, Douglas and Peucker)."""
    if len(points) < 3:
        return list(points)
    far, at = max((_distance(p, points[0], points[-1]), k) for k, p in enumerate(points[1:-1], 1))
    if far <= tolerance:
        return [points[0], points[-1]]
    return simplified(points[: at + 1], tolerance)[:-1] + simplified(points[at:], tolerance)


def _distance(p: Point, a: Point, b: Point) -> float:
    """The distance of `p` from the line segment between `a` and `b`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    square = dx * dx + dy * dy
    share = 0.0 if square == 0.0 else max(0.0, min(1.0, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / square))
    return hypot(p[0] - a[0] - share * dx, p[1] - a[1] - share * dy)


def _prune(node: Element, ids: dict[str, str]) -> None:
    """Remove elements without effect, and move attributes that neighbours share into a group."""
    node[:] = [inner for child in node for inner in _kept(child, ids)]
    for name in ("clip-path", "style"):
        node[:] = [part for value, run in groupby(node, _get(name)) for part in _grouped(name, value, list(run))]


def _get(name: str) -> Callable[[Element], str | None]:
    return lambda node: node.get(name)


def _grouped(name: str, value: str | None, run: list[Element]) -> list[Element]:
    if value is None or len(run) < 3 or any(node.tag == "g" for node in run):
        return run
    group = Element("g", {name: value})
    for node in run:
        del node.attrib[name]
        group.append(node)
    return [group]


def _kept(node: Element, ids: dict[str, str]) -> Iterator[Element]:
    """The replacement of `node`: the node itself, its children if it is a group without attributes, or nothing."""
    if node.get("id") not in ids:
        node.attrib.pop("id", None)
    _prune(node, ids)
    if node.tag in ("metadata", "style"):
        return
    if node.tag == "g" and not node.attrib:
        yield from node
    else:
        yield node


def _plain(name: str) -> str:
    return _NAMESPACE.sub("", name)


def _shorter(name: str, value: str, ids: dict[str, str]) -> str:
    if name == "id":
        return ids[value]
    if name in ("href", "clip-path"):
        return _REFERENCE.sub(lambda found: ids[found[0]], value)
    if name == "d":
        return _path(value)
    if name == "style":
        return value.replace(": ", ":").replace("; ", ";")
    if name in ("x", "y", "width", "height") or value.startswith("translate("):
        return _rounded(value)
    return value


def _path(drawn: str) -> str:
    """A polyline as relative steps, with as few points as possible; any other path with rounded numbers."""
    joined = " ".join(drawn.split())
    whole = _LINE.fullmatch(joined)
    if whole is None:
        return _rounded(joined)
    numbers = [float(number) for number in _NUMBER.findall(whole["points"])]
    points = simplified(list(zip(numbers[::2], numbers[1::2], strict=True)), _TOLERANCE)
    tenths = [(round(10.0 * x), round(10.0 * y)) for x, y in points]
    steps = [(right - left, low - high) for (left, high), (right, low) in pairwise(tenths)]
    moves = " ".join(f"{dx / 10:g} {dy / 10:g}" for dx, dy in steps).replace(" -", "-")
    return f"M{tenths[0][0] / 10:g} {tenths[0][1] / 10:g}l{moves}"


def _rounded(value: str) -> str:
    """`value` with its numbers rounded to a tenth of a point."""
    return _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
