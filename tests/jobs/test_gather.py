"""Rows gathered for lanes, by the compiled core and by the definition, beside plain loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foretell import native
from foretell.jobs.forecasting.gather import Lanes, Part, gather

ROWS, TRACKS = 20, 3


@pytest.fixture(params=["compiled", "defined"], scope="module")
def way(request):
    """Through the compiled core, or through the definition."""
    if request.param == "compiled":
        if native.load() is None:
            pytest.skip("the compiled core was not built")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "load", lambda: None)
        yield


@st.composite
def lanes(draw):
    """Some rows of tracks of 20 rows, [B] each, and rows from which on nothing is read."""
    numbers = []
    for _ in range(draw(st.integers(1, 5))):
        begin = draw(st.integers(0, ROWS - 1))
        end = draw(st.integers(begin + 1, ROWS))
        first = draw(st.integers(-5, ROWS + 5))
        numbers.append((first, begin, end, ROWS * draw(st.integers(0, TRACKS - 1)), draw(st.integers(-9, ROWS + 9))))
    *bounds, until = map(torch.tensor, zip(*numbers, strict=True))
    return Lanes(*bounds), until


def by_hand(lanes, part):
    expected = torch.empty_like(part.to)
    for t in range(len(part.to)):
        for b, (first, begin, end, track) in enumerate(zip(*(part.tolist() for part in lanes), strict=True)):
            asked = first + part.lead + t
            row = max(begin, min(asked, end - 1))
            found = part.table[row + track if part.of_tracks else row]
            if part.factor is not None:
                found = torch.clamp(found * part.factor[row + track], -part.limit, part.limit)
            expected[t, b] = 0 if part.until is not None and asked >= part.until[b] else found
    return expected


@pytest.mark.usefixtures("way")
@given(lanes(), st.integers(1, 40), st.integers(-9, 3))
def test_every_kind_of_part(drawn, time, lead):
    lanes, until = drawn
    generator = torch.Generator().manual_seed(time)
    numbers, factor = (torch.randn(ROWS * TRACKS, width, generator=generator) for width in (1, 1))
    wide, codes = torch.randn(ROWS, 5, generator=generator), torch.arange(3 * ROWS).view(ROWS, 3)
    size = (time, len(lanes.first))
    beside = torch.full((*size, 9), math.nan)
    parts = [
        Part(numbers, torch.empty(*size, 1), lead, of_tracks=True, until=until),
        Part(wide, beside[..., 1:6], lead),
        Part(wide, torch.empty(*size, 5), factor=factor.flatten(), limit=0.5),
        Part(wide, torch.empty(*size, 5), until=until, factor=factor.flatten(), limit=0.5),
        Part(codes, torch.empty(*size, 3, dtype=torch.int64), until=until),
        Part(torch.empty(ROWS, 0), torch.empty(*size, 0)),
    ]
    gather(lanes, *parts)
    for part in parts:
        assert torch.equal(part.to, by_hand(lanes, part))
    assert beside[..., [0, 6, 7, 8]].isnan().all()


@pytest.mark.usefixtures("way")
def test_a_factor_that_is_no_number_is_seen():
    to, whole = torch.empty(2, 1, 2), torch.tensor([0, 0])
    factor = torch.tensor([1.0, math.nan])
    gather(Lanes(whole[:1], whole[:1], whole[:1] + 2, whole[:1]), Part(torch.ones(2, 2), to, factor=factor, limit=8.0))
    assert to[0].eq(1).all()
    assert to[1].isnan().all()
