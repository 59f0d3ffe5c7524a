"""The recommender's network: its steps against its sequences, its parts against their formulas."""

import pytest
import torch

from foretell.networks.recommend import Describe, FeatureConfig, RecommendConfig, RecommendNetwork

FEATURES = {"context": FeatureConfig(numbers=2, categories=(3,)), "catalogue": FeatureConfig(numbers=1, categories=())}


def network(**values):
    sizes = {"items": 11, "width": 6, "hidden": 6, "layers": 1, "dropout": 0.3, "embedding_dropout": 0.3}
    config = RecommendConfig(**{**sizes, "item_dropout": 0.2, "smoothing": 0.0, **values})
    torch.manual_seed(0)
    made = RecommendNetwork(config)
    torch.nn.init.normal_(made.items)
    for describe in (made.context, made.catalogue):
        for parameter in describe.parameters() if describe else ():
            torch.nn.init.normal_(parameter)
    made.item_numbers.copy_(torch.randn(made.item_numbers.shape))
    return made


def batch(config, time=5, rows=3):
    generator = torch.Generator().manual_seed(1)
    items = torch.randint(config.items, (time, rows), generator=generator)
    numbers = torch.randn(time, rows, config.context.numbers, generator=generator)
    codes = torch.randint(4, (time, rows, len(config.context.categories)), generator=generator)
    return items, numbers, codes


@pytest.mark.parametrize("sizes", [{}, {"hidden": 9}, {"hidden": 4}, {"layers": 2}, FEATURES], ids=str)
def test_steps_give_what_the_sequence_gives(sizes):
    made = network(**sizes).eval()
    x = made.inputs(*batch(made.config, rows=1))
    with torch.no_grad():
        whole, _ = made(x)
        stream = made.lstm.stream()
        steps = [made.combined(one, stream.step(one)) for one in x[:, 0]]
    torch.testing.assert_close(torch.stack(steps), whole[:, 0])


def test_what_stands_after_the_end_of_a_history_changes_nothing():
    made = network().eval()
    items, numbers, codes = batch(made.config)
    lengths = torch.tensor([2, 5, 3])
    with torch.no_grad():
        before, _ = made(made.inputs(items, numbers, codes), lengths)
        items[2:, 0] = 0
        after, _ = made(made.inputs(items, numbers, codes), lengths)
    torch.testing.assert_close(after[:2, 0], before[:2, 0])
    torch.testing.assert_close(after[:, 1], before[:, 1])


def test_the_score_of_an_item_is_the_product_of_vectors_and_its_bias():
    made = network().requires_grad_(False)
    torch.nn.init.normal_(made.bias)
    h = torch.randn(2, made.config.width)
    expected = [[float(row @ vector + bias) for vector, bias in zip(made.items, made.bias, strict=True)] for row in h]
    torch.testing.assert_close(made.scores(h), torch.tensor(expected))
    made.temperature.fill_(2.0)
    torch.testing.assert_close(made.scores(h), torch.tensor(expected) / 2)
    logs = torch.log_softmax(made.scores(h), 1)
    torch.testing.assert_close(made.log_probability(h, torch.tensor([4, 7])), logs[[0, 1], [4, 7]])


def test_the_loss_leaves_out_steps_without_a_target():
    made = network().eval()
    h, target = torch.randn(4, 6), torch.tensor([3, -1, 7, -1])
    expected = torch.nn.functional.cross_entropy(made.scores(h[[0, 2]]), target[[0, 2]])
    torch.testing.assert_close(made.loss(h, target, None, None), expected)


def test_a_sampled_loss_over_very_many_draws_is_the_whole_loss():
    made = network().eval()
    h, target = torch.randn(4, 6), torch.tensor([3, 1, 7, -1])
    q = torch.full((11,), 1 / 11)
    drawn = torch.randint(11, (200_000,), generator=torch.Generator().manual_seed(0))
    whole = made.loss(h, target, None, None)
    torch.testing.assert_close(made.loss(h, target, drawn, q.log()), whole, rtol=0.02, atol=0.02)


def test_item_dropout_drops_whole_events():
    made = network(embedding_dropout=0.0, item_dropout=0.5).train()
    x = made.inputs(*batch(made.config, time=40))
    dropped = (x == 0).all(-1)
    assert 0.2 < dropped.float().mean() < 0.8
    assert ((x == 0).any(-1) == dropped).all()


def test_growing_keeps_the_scores_of_the_items_there_are():
    made = network(**FEATURES).eval()
    grown = made.grown(torch.ones(2, 6), torch.tensor([-3.0, -4.0]), torch.ones(2, 1), torch.zeros(2, 0).long())
    items, numbers, codes = batch(made.config)
    with torch.no_grad():
        before, _ = made(made.inputs(items, numbers, codes))
        after, _ = grown(grown.inputs(items, numbers, codes))
        torch.testing.assert_close(grown.scores(after[-1])[:, :11], made.scores(before[-1]))
        torch.testing.assert_close(grown.scores(after[-1])[:, 12], after[-1].sum(1) - 4.0)


def test_numbers_are_standardised_and_a_missing_one_says_only_that_it_is_missing():
    describe = Describe(FeatureConfig(numbers=1), 2)
    describe.set_scale(torch.tensor([[1.0], [3.0], [torch.nan]]))
    torch.nn.init.ones_(describe.weight)
    values = torch.tensor([[3.0], [torch.nan]])
    made = describe(values, torch.zeros(2, 0, dtype=torch.int64))
    torch.testing.assert_close(made, torch.tensor([[2.0, 2.0], [0.0, 0.0]]))  # (3 - 2) / 1 + known, 0 + unknown
