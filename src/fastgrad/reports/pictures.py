"""Maps and curves as elements of a page, drawn without any library."""

import base64
import struct
import zlib
from typing import TypeAlias
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastgrad.reports.document import Approach, Curve, Map

Element: TypeAlias = "ElementTree.Element[str]"

_SIDE = 288  # pixels of the longer side of a map on the page
_THIN = 16  # of the shorter one, at least
_CELL = 16  # of one entry, at most
_FEW = 40  # pixels that are wrong: so many are ringed, lest they be overlooked
_SHADES = 64


def element(tag: str, *content: "Element | str", **attributes: str) -> Element:
    """Return an element; empty attributes are left out, ``_`` stands for ``-``."""
    given = {
        name.removesuffix("_").replace("_", "-"): value
        for name, value in attributes.items()
        if value
    }
    result: Element = ElementTree.Element(tag, given)
    for item in content:
        if isinstance(item, str):
            if len(result):
                result[-1].tail = (result[-1].tail or "") + item
            else:
                result.text = (result.text or "") + item
        else:
            result.append(item)
    return result


def picture(part: Map) -> Element:
    """Return a map as an image; what is rare in it is ringed."""
    rows, columns = part.shape
    cell = min(_CELL, _SIDE / max(rows, columns))
    across, down = max(columns * cell, _THIN), max(rows * cell, _THIN)
    data = base64.b64encode(_png(part.strength)).decode()
    image = element(
        "img",
        src=f"data:image/png;base64,{data}",
        alt=part.caption,
        width=f"{across:g}",
        height=f"{down:g}",
    )
    there = np.argwhere(~np.isnan(part.strength)) + 0.5
    if len(there) > _FEW or len(there) == part.strength.size:
        return image
    places = there / part.strength.shape * (down, across)
    rings = [
        element("circle", cx=f"{x:g}", cy=f"{y:g}", r="6", class_="mark")
        for y, x in places
    ]
    overlay = element("svg", *rings, viewBox=f"0 0 {across:g} {down:g}")
    return element("div", image, overlay, class_="ringed")


def _png(strength: NDArray[np.float64]) -> bytes:
    """Return a PNG file: transparent where there is nothing, amber to dark red."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    height, width = strength.shape
    shade = 1 + np.rint(np.nan_to_num(strength) * (_SHADES - 1))
    indices = np.where(np.isnan(strength), 0, shade).astype(np.uint8)
    filtered = np.insert(indices, 0, 0, axis=1)  # filter type "none" before every line
    ramp = np.linspace((245, 150, 60), (150, 20, 30), _SHADES).round().astype(np.uint8)
    palette = bytes(3) + ramp.tobytes()
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", palette),
            chunk(b"tRNS", b"\x00"),
            chunk(b"IDAT", zlib.compress(filtered.tobytes())),
            chunk(b"IEND", b""),
        )
    )


_WIDE, _HIGH = 336, 200
_LEFT, _BELOW = 44, 22  # room for the numbers


def curve(part: Curve) -> Element:
    """Return a curve over its expected band, with the ends of both axes written."""
    known = np.concatenate([part.measured, part.expected[1:].ravel()])
    known = known[np.isfinite(known)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    if high - low < 1:
        low, high = low - 0.5, high + 0.5
    first, last = part.x.min(initial=np.inf), part.x.max(initial=-np.inf)
    span = max(last - first, 1.0)

    def points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
        across = _LEFT + (_WIDE - _LEFT - 8) * (x - first) / span
        down = 8 + (_HIGH - _BELOW - 8) * (high - y) / (high - low)
        pairs = zip(across, down, strict=True)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs if np.isfinite(b))

    at, lower, upper = part.expected
    band = points(np.append(at, at[::-1]), np.append(lower, upper[::-1]))
    return element(
        "svg",
        element("polygon", points=band, class_="band"),
        element("polyline", points=points(part.x, part.measured), class_="line"),
        element("text", f"{high:.3g}", x="4", y="16"),
        element("text", f"{low:.3g}", x="4", y=f"{_HIGH - _BELOW}"),
        element("text", f"layer {first:g}", x=f"{_LEFT}", y=f"{_HIGH - 6}"),
        element(
            "text", f"{last:g}", x=f"{_WIDE - 8}", y=f"{_HIGH - 6}", text_anchor="end"
        ),
        viewBox=f"0 0 {_WIDE} {_HIGH}",
        width=f"{_WIDE}",
        role="img",
        aria_label=part.caption,
    )


def approach(part: Approach) -> Element:
    """Return both distances over the step, each axis in powers of ten."""
    x = np.log10(part.step)
    lines = np.log10([part.far, part.near])
    known = np.isfinite(x) & np.isfinite(lines).all(axis=0)
    x, lines = x[known], lines[:, known]
    left, right = np.floor(x.min(initial=-1.0)), np.ceil(x.max(initial=0.0))
    low, high = np.floor(lines.min(initial=-1.0)), np.ceil(lines.max(initial=0.0))

    def place(a: float, b: float) -> tuple[float, float]:
        across = _LEFT + (_WIDE - _LEFT - 8) * (a - left) / (right - left)
        return across, 8 + (_HIGH - _BELOW - 8) * (high - b) / (high - low)

    def polyline(y: NDArray[np.float64], kind: str) -> Element:
        pairs = [place(*pair) for pair in zip(x, y, strict=True)]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)
        return element("polyline", points=points, class_=kind)

    marks = []
    for tick in np.arange(low, high + 1, max(1, (high - low) // 4)):
        across, down = place(left, tick)
        ends = {"x1": f"{across:.1f}", "x2": f"{_WIDE - 8}"}
        same = {"y1": f"{down:.1f}", "y2": f"{down:.1f}"}
        marks.append(element("line", **ends, **same, class_="rule"))
        marks.append(element("text", f"1e{tick:.0f}", x="4", y=f"{down + 4:.1f}"))
    ends_of_axis = (
        ("start", left, f"step 1e{left:.0f}"),
        ("end", right, f"1e{right:.0f}"),
    )
    for anchor, at, text in ends_of_axis:
        across, _ = place(at, low)
        where = {"x": f"{across:.1f}", "y": f"{_HIGH - 6}", "text_anchor": anchor}
        marks.append(element("text", text, **where))
    return element(
        "svg",
        *marks,
        polyline(lines[1], "dashed"),
        polyline(lines[0], "line"),
        viewBox=f"0 0 {_WIDE} {_HIGH}",
        width=f"{_WIDE}",
        role="img",
        aria_label=part.caption,
    )
