"""The reliability plot: each number is where it belongs, and a title is text."""

from xml.etree import ElementTree

from transforms.reports.drawings.reliability_plot import ReliabilityPoint, plot

SVG = "{http://www.w3.org/2000/svg}"


def test_points_lie_where_their_numbers_say() -> None:
    root = ElementTree.fromstring(plot([ReliabilityPoint(0.5, 0.25, 0.2, 0.3), ReliabilityPoint(1, 1, 0.9, 1)], "p"))  # noqa: S314 -- our own
    frame = root.find(f"{SVG}rect")
    assert frame is not None
    left, top, side = (float(frame.attrib[name]) for name in ("x", "y", "width"))
    half, whole = root.findall(f"{SVG}circle")
    assert (float(half.attrib["cx"]), float(half.attrib["cy"])) == (left + side / 2, top + side * 0.75)
    assert (float(whole.attrib["cx"]), float(whole.attrib["cy"])) == (left + side, top)


def test_a_title_is_text_and_no_points_are_said() -> None:
    drawn = plot([], "</title><script>alert(1)</script>")
    assert "<script" not in drawn and "no pictures" in drawn
    ElementTree.fromstring(drawn)  # noqa: S314 -- our own
