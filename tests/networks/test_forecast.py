"""The forecaster's network: where it starts, what each input and each size changes, and that halves make the whole."""

from dataclasses import fields, replace

import pytest
import torch

from foretell.networks.forecast import ForecastConfig, ForecastNetwork, KnownAhead, Steps, data_of, window_of
from foretell.networks.goal import Goal
from foretell.networks.quantiles import pinball

T, B, L, H, Q = 7, 3, 5, 4, 3
PROBABILITIES = torch.tensor([0.1, 0.5, 0.9])
BASE = {
    "context": L,
    "horizon": H,
    "probabilities": (0.1, 0.5, 0.9),
    "linear": 3,
    "calendar": 2,
    "past": 1,
    "past_categories": (2,),
    "known": 2,
    "known_categories": (3,),
    "static": 1,
    "static_categories": (4,),
    "tracks": 5,
    "hidden": 6,
    "layers": 1,
    "encoding": 4,
    "dropout": 0.0,
}


def make_steps(config: ForecastConfig, time: int = T, seed: int = 0) -> Steps:
    g = torch.Generator().manual_seed(seed)

    def codes(rows: tuple[int, ...], sizes: tuple[int, ...]) -> torch.Tensor:
        if not sizes:
            return torch.zeros(*rows, 0, dtype=torch.int64)
        return torch.stack([torch.randint(0, size + 1, rows, generator=g) for size in sizes], dim=-1)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    h = config.horizon
    return Steps(
        values=numbers(B, config.context - 1 + time),
        level=numbers(time, B),
        spread=numbers(time, B).exp(),
        data=data_of(
            torch.randint(0, 4, (time, B), generator=g).float(),
            numbers(time, B, config.linear),
            numbers(time, B, config.calendar),
        ),
        past=numbers(time, B, 2 * config.past),
        past_codes=codes((time, B), config.past_categories),
        known=numbers(time + h, B, 2 * config.known),
        known_codes=codes((time + h, B), config.known_categories),
        static=numbers(B, 2 * config.static),
        static_codes=codes((B,), config.static_categories),
        track=torch.randint(0, config.tracks + 1, (B,), generator=g),
    )


def make_goal(steps: Steps, seed: int = 5) -> Goal:
    g = torch.Generator().manual_seed(seed)
    time, lanes = steps.level.shape
    return Goal(
        values=torch.cat([steps.level, torch.randn(H, lanes, generator=g)]),
        known=(torch.rand(time + H, lanes, generator=g) < 0.8).float(),
        learn=(torch.rand(time, lanes, generator=g) < 0.8).float(),
        spread=steps.spread,
    )


def make_network(lively: bool = True, **changes: object) -> ForecastNetwork:
    torch.manual_seed(1)
    network = ForecastNetwork(ForecastConfig(**{**BASE, **changes}))
    if lively:  # fresh output layers are zero and would hide every input
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def test_a_fresh_network_answers_with_the_linear_skip_exactly():
    network = make_network(lively=False)
    for parameter in (*network.skip.parameters(), *network.skip_beside.parameters()):
        torch.nn.init.normal_(parameter)
    steps = make_steps(network.config)
    quantiles, _ = network(steps)
    windows = torch.stack([steps.values[:, t : t + L] for t in range(T)])
    scaled = ((windows - steps.level[..., None]) / steps.spread[..., None]).clamp(-10, 10)
    straight = scaled @ network.skip.weight.T + steps.data[..., 2:5] @ network.skip_beside.weight.T
    torch.testing.assert_close(quantiles[..., Q // 2], straight)


def test_window_is_the_last_values_in_the_scale_of_each_step():
    steps = make_steps(ForecastConfig(**BASE))
    window = window_of(steps).scaled().view(L, T, B)
    for t in range(T):
        for b in range(B):
            by_hand = (steps.values[b, t : t + L] - steps.level[t, b]) / steps.spread[t, b]
            torch.testing.assert_close(window[:, t, b], by_hand.clamp(-10, 10))


def test_shapes():
    network = make_network()
    quantiles, (h, c) = network(make_steps(network.config))
    assert quantiles.shape == (T, B, H, Q)
    assert h.shape == c.shape == (1, B, 6)


def test_reading_then_answering_is_the_forward_pass():
    network = make_network()
    steps = make_steps(network.config)
    hidden, _ = network.read(steps)
    torch.testing.assert_close(network.answer(steps, hidden), network(steps)[0])
    torch.testing.assert_close(network.trace(steps).layers[0][0].h, hidden)


@pytest.mark.parametrize("changes", [{}, {"known": 0, "known_categories": ()}, {"layers": 2}])
def test_the_loss_and_its_gradients_are_those_of_the_forward_pass(changes):
    network = make_network(**changes).double()
    steps = make_steps(network.config)
    numbers = {f.name: getattr(steps, f.name) for f in fields(Steps)}
    steps = Steps(**{name: x.double() if x.is_floating_point() else x for name, x in numbers.items()})
    goal = make_goal(steps)
    goal = Goal(*(getattr(goal, f.name).double() for f in fields(Goal)))
    loss, count, (h, c) = network.loss(steps, goal, PROBABILITIES.double())
    quantiles, (h_too, c_too) = network(steps)
    total, known = pinball(quantiles, *goal.scaled(), PROBABILITIES.double())
    assert count == known > 20
    torch.testing.assert_close((loss, h, c), (total / known, h_too, c_too))
    parameters = list(network.parameters())
    plain = torch.autograd.grad(total / known, parameters)
    assert all(gradient.any() for gradient in plain)
    torch.testing.assert_close(torch.autograd.grad(loss, parameters), plain)


def test_two_halves_with_the_state_between_make_the_whole():
    network = make_network(layers=2)
    whole = make_steps(network.config)
    cut = 3

    def part(a: int, b: int) -> Steps:
        by_step = {name: getattr(whole, name)[a:b] for name in ("level", "spread", "data", "past", "past_codes")}
        ahead = {name: getattr(whole, name)[a : b + H] for name in ("known", "known_codes")}
        return replace(whole, values=whole.values[:, a : b + L - 1], **by_step, **ahead)

    first, state = network(part(0, cut))
    second, _ = network(part(cut, T), state)
    torch.testing.assert_close(torch.cat([first, second]), network(whole)[0])


@pytest.mark.parametrize("name", [field.name for field in fields(Steps)])
def test_every_input_is_read(name):
    network = make_network()
    steps = make_steps(network.config)
    value = getattr(steps, name)
    other = 1 - value.clamp(max=1) if value.dtype == torch.int64 else value * 1.5 + 0.1
    assert not torch.equal(network(steps)[0], network(replace(steps, **{name: other}))[0])


@pytest.mark.parametrize("place", range(2 + BASE["linear"] + BASE["calendar"]))
def test_every_column_of_the_data_is_read(place):
    network = make_network()
    steps = make_steps(network.config)
    data = steps.data.clone()
    data[..., place] += 1.0
    assert not torch.equal(network(steps)[0], network(replace(steps, data=data))[0])


def test_a_gap_is_read_as_its_logarithm_and_as_a_mask():
    gap, linear, calendar = torch.tensor([[0.0, 3.0]]), torch.tensor([[[5.0], [6.0]]]), torch.tensor([[[7.0], [8.0]]])
    expected = torch.tensor([[[0.0, 1.0, 5.0, 7.0], [1.3862944, 0.0, 6.0, 8.0]]])
    torch.testing.assert_close(data_of(gap, linear, calendar), expected)


@pytest.mark.parametrize("name", ["data", "past", "level"])
def test_no_answer_depends_on_a_later_step(name):
    network = make_network()
    steps = make_steps(network.config)
    later = getattr(steps, name).clone()
    later[4:] += 1.0
    changed = network(replace(steps, **{name: later}))[0]
    torch.testing.assert_close(changed[:4], network(steps)[0][:4], rtol=0, atol=0)
    assert not torch.equal(changed[4:], network(steps)[0][4:])


def test_known_covariates_reach_the_step_they_belong_to():
    """From a fresh state, known[t + k] may change the answer of step t for the k-th step ahead alone."""
    torch.manual_seed(0)
    ahead = KnownAhead(2, 6)
    torch.nn.init.normal_(ahead.out.weight)
    hidden, known = torch.randn(T, B, 6), torch.randn(T + H, B, 2)
    shift = ahead(hidden, known, H)
    assert shift.shape == (T, B, H)
    other = known.clone()
    other[5] += 1.0
    moved = (ahead(hidden, other, H) != shift).any(dim=1)
    assert {(t, k) for t, k in moved.nonzero().tolist()} == {(t, 5 - t - 1) for t in range(1, 5)}


def test_known_ahead_starts_at_nothing():
    assert not KnownAhead(2, 6)(torch.randn(T, B, 6), torch.randn(T + H, B, 2), H).any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context", 6),
        ("horizon", 5),
        ("probabilities", (0.05, 0.1, 0.5, 0.9, 0.95)),
        ("linear", 4),
        ("calendar", 4),
        ("past", 2),
        ("past_categories", (2, 2)),
        ("known", 1),
        ("known_categories", ()),
        ("static", 2),
        ("static_categories", (9,)),
        ("tracks", 0),
        ("hidden", 7),
        ("layers", 2),
        ("encoding", 5),
    ],
)
def test_every_size_changes_the_weights(name, value):
    def shapes(**changes):
        network = make_network(**changes)
        return {key: tensor.shape for key, tensor in network.state_dict().items()}

    assert shapes() != shapes(**{name: value})


def test_every_setting_is_tested():
    assert set(ForecastConfig.model_fields) == set(BASE)


def test_dropout_drops_in_training_alone():
    network = make_network(dropout=0.5)
    steps = make_steps(network.config)
    torch.testing.assert_close(network(steps)[0], network(steps)[0], rtol=0, atol=0)

    def loss():
        return network.loss(steps, make_goal(steps), PROBABILITIES)[0].item()

    assert loss() == loss()
    network.train()
    assert loss() != loss()


def test_a_network_without_covariates_and_identity_works():
    bare = dict.fromkeys(("calendar", "past", "known", "static", "tracks"), 0)
    none = dict.fromkeys(("past_categories", "known_categories", "static_categories"), ())
    network = make_network(**bare, **none)
    assert network(make_steps(network.config))[0].isfinite().all()


def test_outliers_are_bounded():
    network = make_network()
    steps = make_steps(network.config)
    values = steps.values.clone()
    values[0, 0] = 1e30
    assert network(replace(steps, values=values))[0].isfinite().all()


@pytest.mark.parametrize("name", ["values", "level", "spread"])
def test_whoever_asks_for_it_learns_what_the_window_does(name):
    network = make_network().double()
    numbers = {f.name: getattr(make_steps(network.config), f.name) for f in fields(Steps)}
    steps = Steps(**{name: x.double() if x.is_floating_point() else x for name, x in numbers.items()})
    assert torch.autograd.gradcheck(
        lambda part: network(replace(steps, **{name: part}))[0], getattr(steps, name).requires_grad_()
    )
