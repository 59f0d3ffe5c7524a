"""The compiled kernels in threads, forked processes, copies and autocast, and on every instruction set."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from foretell import native
from foretell.lstm import LSTM, use_backend

pytestmark = [
    pytest.mark.usefixtures("native_only"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
]
NEEDS_FORK = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")


@pytest.fixture
def layer() -> LSTM:
    torch.manual_seed(0)
    return LSTM(16, 64, bidirectional=True)


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(20, 8, 16)


def outputs_and_gradients(layer, x):
    with use_backend("native"):  # other threads do not inherit it
        y, state = layer(x)
    return [y, *state, *torch.autograd.grad(y.square().sum(), list(layer.parameters()))]


def test_several_threads_may_call_one_layer(layer, x):
    inputs = [x + number for number in range(4)]
    expected = [outputs_and_gradients(layer, one) for one in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: outputs_and_gradients(layer, inputs[number % 4]), range(40)))
    for number, results in enumerate(found):
        assert all(map(torch.equal, results, expected[number % 4]))


class Outputs(Dataset):
    """Item n is what the layer says about the n-th input: a model that prepares another's data."""

    def __init__(self, layer, inputs):
        self.layer, self.inputs = layer, inputs

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, number):
        with torch.no_grad():
            return self.layer(self.inputs[number])[0]


@NEEDS_FORK
def test_workers_of_a_data_loader_may_call_the_layer(layer, x):
    expected = Outputs(layer, [x + number for number in range(4)])
    wanted = torch.stack([expected[number] for number in range(4)])  # used before the fork
    loader = DataLoader(expected, batch_size=4, num_workers=2, multiprocessing_context="fork", timeout=60)
    assert torch.equal(next(iter(loader)), wanted)


def check_in_child(layer, x, expected):
    same = all(map(torch.equal, outputs_and_gradients(layer, x), expected))
    os._exit(0 if same else 1)  # without the parent's exit handlers


@NEEDS_FORK
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_may_call_the_layer(threads, layer, x):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    expected = outputs_and_gradients(layer, x)
    torch.set_num_threads(before)
    child = multiprocessing.get_context("fork").Process(target=check_in_child, args=(layer, x, expected))
    child.start()
    child.join(60)
    child.kill()  # if it hangs; after its end nothing
    child.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_of_a_used_layer_work_and_go_their_own_way(duplicate, layer, x):
    expected = outputs_and_gradients(layer, x)
    twin = duplicate(layer)
    assert all(map(torch.equal, outputs_and_gradients(twin, x), expected))
    torch.nn.init.zeros_(twin.weight_ih_l0)
    assert all(map(torch.equal, outputs_and_gradients(layer, x), expected))
    assert not torch.equal(twin(x)[0], expected[0])


def test_autocast_runs_forward_and_backward(layer, x, assert_near):
    expected = outputs_and_gradients(layer, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = outputs_and_gradients(layer, x)
    assert [part.dtype for part in found[:3]] == [torch.bfloat16] * 3
    assert_near([part.bfloat16() for part in found], expected)


def test_autocast_multiplies_bfloat16_where_that_is_fast(layer, x):
    if not native.multiplies_bfloat16():
        pytest.skip("this machine has no fast products of bfloat16")
    rounded = layer.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = copy.deepcopy(rounded).float()(x)[0]
    assert torch.equal(found, rounded(x.bfloat16())[0])


def test_products_of_torch_and_of_the_kernels_in_bfloat16_leave_each_other_alone(make):
    """Both may use the same unit for matrices, which each sets up in its own way."""
    layer, x, square = make(40, 70).bfloat16(), torch.randn(5, 20, 40).bfloat16(), torch.randn(200, 200).bfloat16()
    product, (y, _) = square @ square, layer(x)
    for _ in range(3):
        assert torch.equal(square @ square, product)
        assert torch.equal(layer(x)[0], y)


def outputs_on(variant: str) -> str:
    """The outputs of a large layer in float32 that wants gradients, from a process of its own."""
    program = (
        "import torch; from foretell.lstm import LSTM; torch.manual_seed(0); "
        "print(LSTM(40, 130, 2)(torch.randn(9, 33, 40))[0].detach().numpy().tobytes().hex())"
    )
    env = {**os.environ, "FORETELL_CPU": variant}
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True).stdout


def test_outputs_in_float32_are_those_of_avx512_beside_a_unit_for_matrices():
    if "amx" not in native.variants():
        pytest.skip("this machine does not run amx")
    assert outputs_on("amx") == outputs_on("avx512")


@pytest.mark.parametrize("variant", ["amx", "avx512_bf16", "avx512", "avx2", "neon", "baseline"])
def test_every_instruction_set_agrees_with_the_definition(variant):
    if variant not in native.variants():
        pytest.skip(f"this machine does not run {variant}")
    tests = Path(__file__).with_name("test_native.py")
    checks = "every_option or every_size or plain"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", checks, str(tests)],
        env={**os.environ, "FORETELL_CPU": variant},
        cwd=tests.parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout
