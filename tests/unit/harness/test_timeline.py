"""Where the time of a job went: parts and chart, from requests that are made up."""

from __future__ import annotations

from bench.timeline import chart, split


def asked(resource: str, began: float, seconds: float) -> dict[str, object]:
    return {"resource": resource, "began": 100 + began, "seconds": seconds}


TOLD = [
    asked("composite/graph", 2.0, 1.0),  # the org tells them in the order of their answers
    asked("query/explain", 0.0, 0.1),
    asked("query", 0.2, 0.5),  # the ids
    asked("query", 1.0, 0.4),
    asked("query", 1.0, 0.5),
    asked("query/more", 0.7, 0.5),
    asked("composite/graph", 1.5, 2.0),
]


def test_parts_overlap_and_end_with_the_job() -> None:
    found = {part: (round(start, 3), round(end, 3)) for part, (start, end) in split(TOLD, 100, 100.1, 103.6).items()}
    assert found == {
        "accepted": (0.0, 0.1),
        "plan": (0.2, 1.2),
        "pages": (1.0, 1.5),
        "writes": (1.5, 3.5),
        "finish": (3.5, 3.6),
    }


def test_the_chart_has_a_letter_for_each_request_in_flight() -> None:
    lines = [line.split() for line in chart(TOLD, 100)]
    assert [line[0] for line in lines] == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5"]
    assert lines[2][2:] == ["2.2", "rr"]
    assert lines[4][2:] == ["2.0", "WW"]
    assert lines[6][2:] == ["1.0", "W"]
