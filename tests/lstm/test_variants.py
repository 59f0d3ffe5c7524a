"""Every option against a second implementation: numpy, one row, step and gate at a time, from the papers."""

import itertools

import numpy as np
import pytest
import torch

from foretell.lstm import VARIANTS


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def normalised(a, gain, bias=0.0):
    return gain * (a - a.mean()) / np.sqrt(a.var() + 1e-5) + bias


def rows_of(letters, name, hidden):
    start = letters.index(name) * hidden
    return slice(start, start + hidden)


def letters_of(options):
    """The blocks of rows in the weights, in their order."""
    there = {
        "i": options.input_gate,
        "f": options.forget_gate and not options.coupled,
        "g": True,
        "o": options.output_gate,
    }
    return [name for name in "ifgo" if there[name]]


def gate_by_hand(name, total, cell, before, w, options):
    letters, hidden = letters_of(options), len(cell)
    gates = [letter for letter in letters if letter != "g"]
    if name not in gates:
        return np.ones(hidden)
    a = total[rows_of(letters, name, hidden)].copy()
    if options.peepholes:
        a += w["peephole"][rows_of(gates, name, hidden)] * cell
    if options.gate_recurrence:
        for other in gates:
            block = w["weight_gate"][rows_of(gates, name, hidden), rows_of(gates, other, hidden)]
            a += block @ before[other]
    return sigmoid(a)


def step_by_hand(x, h, c, before, w, options):
    """x [I], h [R], c [H], the gates before -> h, c, gates."""
    from_x, from_h = w["weight_ih"] @ x, w["weight_hh"] @ h
    if options.layer_norm:
        from_x, from_h = normalised(from_x, w["norm_ih"]), normalised(from_h, w["norm_hh"])
    total = from_x + from_h + w["bias_ih"] + w["bias_hh"]
    i = gate_by_hand("i", total, c, before, w, options)
    f = 1 - i if options.coupled else gate_by_hand("f", total, c, before, w, options)
    g = total[rows_of(letters_of(options), "g", len(c))]
    g = np.tanh(g) if options.input_activation else g
    fresh = f * c + i * g
    o = gate_by_hand("o", total, fresh, before, w, options)
    seen = normalised(fresh, w["norm_c"], w["bias_c"]) if options.layer_norm else fresh
    out = o * (np.tanh(seen) if options.output_activation else seen)
    out = w["weight_hr"] @ out if "weight_hr" in w else out
    h = options.zoneout_h * h + (1 - options.zoneout_h) * out
    return h, options.zoneout_c * c + (1 - options.zoneout_c) * fresh, {"i": i, "f": f, "o": o}


def by_hand(x, w, options, hidden):
    """x [T,I], w name -> array -> h [T,R], in evaluation mode, from a state of zeros."""
    h, c = np.zeros(w["weight_hh"].shape[1]), np.zeros(hidden)
    before = dict.fromkeys("ifo", np.zeros(hidden))
    outputs = []
    for x_t in x:
        h, c, before = step_by_hand(x_t, h, c, before, w, options)
        outputs.append(h)
    return np.array(outputs)


def check(layer, assert_near):
    torch.manual_seed(1)
    x = torch.randn(5, 3, layer.input_size, dtype=torch.float64)
    weights = {name.removesuffix("_l0"): values.detach().numpy() for name, values in layer.named_parameters()}
    rows = [by_hand(x[:, b].numpy(), weights, layer.options, layer.hidden_size) for b in range(3)]
    assert_near(layer(x)[0], torch.from_numpy(np.stack(rows, axis=1)))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("proj", [0, 2])
def test_the_nine_variants(variant, proj, make, assert_near):
    check(make(3, 4, proj_size=proj, variant=variant), assert_near)


SWITCHES = {
    "peepholes": True,
    "coupled": True,
    "output_gate": False,
    "input_activation": False,
    "output_activation": False,
    "gate_recurrence": True,
    "layer_norm": True,
    "zoneout": (0.2, 0.4),
}


@pytest.mark.parametrize("pair", list(itertools.combinations(SWITCHES, 2)), ids=" and ".join)
def test_every_pair_of_options(pair, make, assert_near):
    check(make(3, 4, **{name: SWITCHES[name] for name in pair}), assert_near)


def test_all_options_together(make, assert_near):
    check(make(3, 4, proj_size=2, **SWITCHES), assert_near)


@pytest.mark.parametrize("name", SWITCHES)
def test_every_option_changes_the_result(name, make):
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.manual_seed(0)
    assert not torch.equal(make(3, 4)(x)[0], make(3, 4, **{name: SWITCHES[name]})(x)[0])


def test_an_option_beside_a_variant_wins(make):
    assert make(3, 4, variant="CIFG", peepholes=False).options == make(3, 4, coupled=True).options


def test_residual_adds_the_input_of_every_layer_above_the_first(make, assert_near):
    layer, plain = make(3, 4, 2, residual=True), make(3, 4, 2)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    below = plain.trace(x).layers[0][0].h
    assert_near(layer(x)[0], plain(x)[0] + below)
    assert_near(layer(x)[1], plain(x)[1])


def test_a_learned_start_is_used_and_learns(make, assert_near):
    layer = make(3, 4, 2, learn_initial_state=True)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    start = tuple(part[:, None].expand(-1, 2, -1) for part in (layer.initial_h, layer.initial_c))
    assert_near(layer(x), layer(x, start))
    layer(x)[0].sum().backward()
    assert (layer.initial_h.grad != 0).all()
    assert (layer.initial_c.grad != 0).all()
