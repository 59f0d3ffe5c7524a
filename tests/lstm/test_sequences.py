"""What holds of every variant over a sequence: halves, ragged rows, resets, empty input, both backends."""

import pytest
import torch

from foretell.lstm import use_backend

TIME, BATCH = 7, 4


@pytest.fixture
def x():
    torch.manual_seed(9)
    return torch.randn(TIME, BATCH, 3, dtype=torch.float64)


def test_two_halves_equal_the_whole(options, make, x, assert_near):
    layer = make(3, 5, 2, **options)
    whole, end = layer(x)
    first, state = layer(x[:3])
    second, state = layer(x[3:], state)
    assert_near(torch.cat([first, second]), whole)
    assert_near(state, end)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_ragged_input_equals_row_by_row(bidirectional, options, make, x, assert_near):
    layer = make(3, 5, 2, bidirectional=bidirectional, **options)
    lengths = [TIME, 0, 3, 1]
    y, state = layer(x, lengths=torch.tensor(lengths))
    start = layer(x[:0])[1]
    for row, length in enumerate(lengths):
        alone, after = layer(x[:length, row : row + 1], tuple(part[:, row : row + 1] for part in start))
        assert_near(y[:length, row : row + 1], alone)
        assert not y[length:, row].any()
        assert_near(tuple(part[:, row : row + 1] for part in state), after)


def test_the_state_after_no_steps_is_the_callers_to_write_to(options, make, x):
    layer = make(3, 5, 2, **options)
    given = layer(x)[1]
    for start in (None, given):
        expected = tuple(part.clone() for part in layer(x[:0], start)[1])
        found = layer(x[:0], start)[1]
        found[0].detach().fill_(9)
        assert all(map(torch.equal, found[1:], expected[1:]))
        assert start is None or torch.equal(start[0], expected[0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_reset_equals_separate_sequences(bidirectional, options, make, x, assert_near):
    layer = make(3, 5, 1 if "residual" not in options else 2, bidirectional=bidirectional, **options)
    reset = torch.zeros(TIME, BATCH, dtype=torch.bool)
    reset[4] = True
    y, _ = layer(x, reset=reset)
    first, second = layer(x[:4]), layer(x[4:])
    if layer.num_layers == 1:
        assert_near(y, torch.cat([first[0], second[0]]))
    reset[0], given = True, tuple(torch.ones_like(part) for part in first[1])
    if not bidirectional:
        assert_near(layer(x, given, reset=reset)[1], second[1])


def test_resets_in_several_rows_and_ragged_rows(make, x, assert_near):
    layer = make(3, 5, 2, bidirectional=True)
    reset = torch.zeros(TIME, BATCH, dtype=torch.bool)
    reset[2, 1] = reset[5, 1] = reset[3, 2] = reset[6, 2] = True  # the last lies beyond its row's end
    lengths = [7, 6, 5, 4]
    y, _ = layer(x, reset=reset, lengths=lengths)
    pieces = {0: [(0, 7)], 1: [(0, 2), (2, 5), (5, 6)], 2: [(0, 3), (3, 5)], 3: [(0, 4)]}
    one = make(3, 5, bidirectional=True)
    y_one, _ = one(x, reset=reset, lengths=lengths)
    for row, borders in pieces.items():
        for a, b in borders:
            assert_near(y[a:b, row], layer(x[a:b, row])[0])
            assert_near(y_one[a:b, row], one(x[a:b, row])[0])


def test_padding_is_never_read(options, make, x):
    layer = make(3, 5, 2, **options)
    lengths = torch.tensor([7, 0, 3, 1])
    poisoned = x.masked_fill(torch.arange(TIME)[:, None, None] >= lengths[:, None], float("nan"))
    y, state = layer(poisoned, lengths=lengths)
    (y.sum() + sum(part.sum() for part in state)).backward()
    assert all(part.isfinite().all() for part in (y, *state))
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_no_steps_and_no_rows_are_legal(options, make, x):
    layer = make(3, 5, 2, **options)
    given = tuple(torch.randn_like(part) for part in layer(x)[1])
    y, state = layer(x[:0], given)
    assert y.shape == (0, BATCH, options.get("proj_size", 5))
    assert all(map(torch.equal, state, given))
    y, state = layer(x[:, :0])
    assert y.shape[:2] == (TIME, 0)
    assert state[0].shape[:2] == (2, 0)


@pytest.mark.parametrize("proj", [0, 2])
def test_the_backends_agree_on_ragged_rows(proj, make, x, assert_near):
    layer = make(3, 5, 2, bidirectional=True, proj_size=proj)
    lengths = torch.tensor([0, 7, 3, 0])
    given = tuple(torch.randn_like(part) for part in layer(x)[1])
    found = {}
    for name in ("torch", "definition"):
        with use_backend(name):
            y, state = layer(x, given, lengths=lengths)
        found[name] = y, state, torch.autograd.grad(y.sum() + state[1].sum(), list(layer.parameters()))
    assert_near(found["torch"], found["definition"])


def test_batch_first_and_unbatched_are_layouts_only(options, make, x, assert_near):
    layer, turned = make(3, 5, 2, **options), make(3, 5, 2, batch_first=True, **options)
    reset = torch.zeros(TIME, BATCH, dtype=torch.bool)
    reset[3, 1] = True
    y, state = layer(x, reset=reset)
    assert_near(turned(x.transpose(0, 1), reset=reset.T), (y.transpose(0, 1), state))
    assert_near(turned(x[:, 1], reset=reset[:, 1]), (y[:, 1], tuple(part[:, 1] for part in state)))


def test_trace_reproduces_the_call(options, make, x, assert_near):
    options.pop("zoneout", None)
    layer = make(3, 5, 2, bidirectional=True, **options)
    trace = layer.trace(x, lengths=[7, 3, 0, 5])
    assert_near((trace.y, trace.state), layer(x, lengths=[7, 3, 0, 5]))
    assert len(trace.layers) == 2
    for number, (forward, backward) in enumerate(trace.layers):
        assert forward.f.shape == backward.c.shape == (TIME, BATCH, 5)
        assert_near(torch.stack([forward.c[-1, 0], backward.c[0, 0]]), trace.state[1][2 * number : 2 * number + 2, 0])
        before = torch.cat([torch.zeros_like(forward.c[:1]), forward.c[:-1]])
        if not layer.options.learn_initial_state:
            assert_near(forward.c, forward.f * before + forward.i * forward.g)
        if layer.options.output_activation and not (layer.proj_size or layer.options.layer_norm):
            assert_near(forward.h, forward.o * forward.c.tanh())
    if not layer.options.residual:
        assert_near(trace.y, torch.cat([part.h for part in trace.layers[1]], dim=-1))
