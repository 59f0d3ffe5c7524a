"""The speed benchmark of the layer: its loops, its counts and its checks, without its timings."""

import importlib
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from foretell import LSTM

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(BENCHMARKS)
    patch.syspath_prepend(BENCHMARKS / "speed")
    cells, graphs, peers, processes, timing, tables = map(
        importlib.import_module,
        ("lstm_cells", "lstm_graphs", "lstm_peers", "lstm_processes", "lstm_timing", "tables"),
    )

TIME, BATCH, INPUTS, HIDDEN, LAYERS = 4, 3, 5, 66, 2  # the projection goes to 64
SMALL = peers.Shape(6, 4, 3, 7, 2)


def make_layer(name):
    torch.manual_seed(0)
    return LSTM(INPUTS, HIDDEN, LAYERS, dtype=torch.float64, **cells.VARIANTS[name].arguments)


def gradients(layer, y):
    return torch.autograd.grad((y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum(), list(layer.parameters()))


@pytest.mark.parametrize("name", cells.VARIANTS)
def test_the_loop_is_the_layer(name):
    layer = make_layer(name).eval()
    variant, x = cells.VARIANTS[name], torch.randn(TIME, BATCH, INPUTS, dtype=torch.float64)
    reset = torch.rand(TIME, BATCH) < 0.4 if variant.resets else None
    expected = layer(x, reset=reset)[0]
    actual = cells.loop(layer, x, variant.step, reset)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    pairs = zip(gradients(layer, actual), gradients(layer, expected), strict=True)
    for mine, true in pairs:
        torch.testing.assert_close(mine, true, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["zoneout .1, .1", "recurrent dropout .3", "weight drop .3"])
def test_the_loop_is_random_in_training_only(name):
    layer, step = make_layer(name), cells.VARIANTS[name].step
    x = torch.randn(TIME, BATCH, INPUTS, dtype=torch.float64)
    assert not torch.equal(cells.loop(layer, x, step), cells.loop(layer, x, step))
    layer.eval()
    assert torch.equal(cells.loop(layer, x, step), cells.loop(layer, x, step))


def test_multiply_adds_of_a_layer_counted_by_hand():
    # 3 times (forward and two backward), 2 steps, 5 rows: 16 gate rows of 3 + 4 products, f * c, i * g, o * tanh(c)
    assert cells.multiply_adds(LSTM(3, 4), 2, 5) == 3 * 2 * 5 * (16 * (3 + 4) + 3 * 4)
    assert cells.multiply_adds(LSTM(3, 4, coupled=True), 2, 5) == 3 * 2 * 5 * (12 * (3 + 4) + 4 * 4)
    assert cells.multiply_adds(LSTM(3, 4, peepholes=True), 1, 1) == 3 * (16 * (3 + 4) + 3 * 4 + 3 * 4)


@pytest.mark.parametrize("name", cells.VARIANTS)
def test_multiply_adds_hold_the_products_that_torch_counts(name):
    """What is left are operations on vectors, at most those of layer norm or of one mask of the weights."""
    layer, x = make_layer(name), torch.randn(TIME, BATCH, INPUTS, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cells.loop(layer, x, cells.VARIANTS[name].step)
    left = cells.multiply_adds(layer, TIME, BATCH) / 3 - counter.get_total_flops() / 2
    sequences = TIME * BATCH * LAYERS * (1 + layer.bidirectional)
    assert 0 < left <= 40 * HIDDEN * sequences


def test_products_of_a_shape_are_what_torch_counts():
    case = peers.make_case(SMALL)
    with FlopCounterMode(display=False) as counter:
        peers.cell_loop(case, training=False).call()
    assert SMALL.products == counter.get_total_flops() / 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("build", [peers.foretell_lstm, peers.torch_lstm, peers.cell_loop])
def test_competitors_agree_with_the_truth(build, training):
    case = peers.make_case(SMALL)
    true = peers.truth(case, training)
    assert len(true) == (2 + 4 * SMALL.layers if training else 3)
    assert timing.check(build(case, training), true, 5e-6, "here") > 0


def test_the_truth_of_ragged_rows_is_that_of_each_row_alone():
    case = peers.make_case(SMALL, ragged=True)
    true, module = peers.truth(case, training=True), peers.exactly(case).module
    for row, length in enumerate(case.lengths.tolist()):
        alone = module(case.x[:length, row].double())[0]
        torch.testing.assert_close(true["y"][:length, row], alone.detach())
        assert not true["y"][length:, row].any()
        assert not true["d x"][length:, row].any()
    for competitor in (peers.foretell_lstm(case, training=True), peers.packed_lstm(case)):
        assert timing.check(competitor, true, 5e-6, "here") > 0


@pytest.mark.parametrize("wrong", [1.5, math.nan])
def test_a_wrong_competitor_ends_the_program(wrong):
    competitor = timing.Competitor("X", lambda: torch.tensor([1.0, wrong]), lambda y: {"y": y})
    with pytest.raises(SystemExit, match="here: y of X is off by"):
        timing.check(competitor, {"y": torch.tensor([1.0, 1.0])}, 0.1, "here")


def test_swapped_gates_are_found():
    case = peers.make_case(SMALL)
    true = peers.truth(case, training=False)
    with torch.no_grad():
        i, f, g, o = case.module.weight_hh_l0.chunk(4)
        case.module.weight_hh_l0.copy_(torch.cat([i, g, f, o]))
    with pytest.raises(SystemExit, match="is off by"):
        timing.check(peers.torch_lstm(case, training=False), true, 1e-3, "here")


def test_all_competitors_take_turns(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 0.0)  # one call a round
    monkeypatch.setattr(timing, "SHORT", 0.0)  # without a call to warm up
    called = []
    two = [timing.Competitor(name, lambda name=name: called.append(name), lambda _: {}) for name in "AB"]
    times = timing.alternate(two)
    assert "".join(called) == "AABB" + timing.ROUNDS * "AB"
    assert {name: len(taken) for name, taken in times.items()} == {"A": timing.ROUNDS, "B": timing.ROUNDS}


def test_each_competitor_takes_its_turns_in_a_process(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS / "speed")  # for the processes
    builds = [partial(build, training=True) for build in (peers.foretell_lstm, peers.torch_lstm, _missing)]
    row = processes.compare([processes.Entry(build, SMALL) for build in builds], True, "here")
    names = {timing.OURS, "torch.nn.LSTM"}
    assert set(row["errors"]) == names
    assert row["not_run"] == {"nobody": "never"}
    assert set(row["calls"]) == set(row["ms"]) == names | {"sgemm"}
    assert min(row["calls"].values()) >= timing.ROUNDS
    assert min(row["ms"].values()) > 0
    assert row["best_peer"] == "torch.nn.LSTM"
    assert row["ratio"] == row["ms"]["torch.nn.LSTM"] / row["ms"][timing.OURS]


def _missing(case, training):
    return timing.Skipped("nobody", "never")


def test_a_wrong_competitor_is_not_timed():
    def wrong(case):
        case.module.weight_hh_l0.data.mul_(2)
        return peers.foretell_lstm(case, training=False)

    with pytest.raises(SystemExit, match="of Foretell is off by"):
        processes.compare([processes.Entry(wrong, SMALL)], False, "here")


def test_a_peer_that_may_miss_the_tolerance_is_named(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS / "speed")  # for the processes
    ours = processes.Entry(partial(peers.foretell_lstm, training=False), SMALL)
    row = processes.compare([ours, processes.Entry(_doubled, SMALL, may_miss=True)], False, "here")
    assert "y of torch.nn.LSTM is off by" in row["not_run"]["torch.nn.LSTM"]
    assert set(row["errors"]) == {timing.OURS}
    assert not {"best_peer", "ratio"} & set(row)


def _doubled(case):
    case.module.weight_hh_l0.data.mul_(2)
    return peers.torch_lstm(case, training=False)


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(graphs, "find_spec", lambda _: None)
    case = peers.make_case(SMALL)
    assert peers.jax_scan(case, True) == timing.Skipped("JAX scan", "jax not installed")
    assert peers.onnx_runtime(case, False) == timing.Skipped("ONNX Runtime", "onnx and onnxruntime not installed")


def test_summary_and_rate():
    assert timing.summary([1, 4]) == {"geometric_mean": pytest.approx(2), "minimum": 1}
    assert timing.gigaflops(5e9, 100) == pytest.approx(100)  # 10 billion operations in a tenth of a second


def test_the_table_says_what_was_measured():
    row = {"ms": {"Foretell": 2516.4, "A": 5032.8}, "best_peer": "A", "ratio": 2.0, "gflops": 90.4, "share": 0.8}
    entry = {"shapes": {"1,2,3,4,1": row}, "geometric_mean": 2.0, "minimum": 2.0, "not_run": {"B": "not installed"}}
    lines = tables.speed_lstm({"train": entry}).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "1, 2, 3, 4, 1",
        "2,516 ms",
        "2.00",
        "A",
        "90",
        "80%",
    ]
    assert lines[-1] == "Not run: B in train (not installed)."


def test_training_and_inference_have_tables_of_their_own():
    row = {"ms": {"Foretell": 1.0, "A": 2.0}, "best_peer": "A", "ratio": 2.0, "gflops": 90.4, "share": 0.8}
    entry = {"shapes": {"1,2,3,4,1": row}, "geometric_mean": 2.0, "minimum": 2.0}
    shown = tables.speed_lstm(dict.fromkeys(("ragged", "infer", "heap", "train"), entry))
    heads = [table.splitlines()[0].split("|")[1:-1] for table in shown.split("\n\n")]
    assert [[cell.strip() for cell in head] for head in heads] == [
        ["T, B, I, H, layers", "train", "times", "best peer", "GF/s", "of sgemm", "its own heap", "times"],
        ["T, B, I, H, layers", "infer", "times", "best peer", "ragged training", "times"],
    ]
