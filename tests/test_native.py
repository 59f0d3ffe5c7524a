"""The compiled core's report of this machine, the forced variant, and life without the core."""

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from foretell import native

BUILT = importlib.util.find_spec("foretell._native") is not None
needs_core = pytest.mark.skipif(not BUILT, reason="the compiled core was not built: no C++ compiler")
CPUINFO = Path("/proc/cpuinfo")

WITHOUT_CORE = """
import sys
sys.modules["foretell._native"] = None  # Python's way to say: importing this fails
from foretell import native
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@needs_core
def test_variants_are_listed_best_first():
    best_first = ["amx", "avx512", "avx2", "neon", "baseline"]
    is_intel = "GenuineIntel" in CPUINFO.read_text() if CPUINFO.exists() else False
    best_first.insert(2 if is_intel else 1, "avx512_bf16")  # whose dot products of bfloat16 are slow
    assert native.variants() == [name for name in best_first if name in native.variants()]
    assert native.variants()[-1] == "baseline"


@needs_core
@pytest.mark.skipif(
    not CPUINFO.exists() or platform.machine() != "x86_64", reason="the kernel lists no x86 features here"
)
def test_features_are_those_that_the_kernel_lists():
    flags = next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")).split()
    known = ["avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16", "amx_bf16"]
    assert native.features() == [name for name in known if name in flags]


@needs_core
def test_the_best_variant_is_active_unless_forced():
    best = native.variants()[0]
    assert run("from foretell import native; print(native.active())", FORETELL_CPU="").stdout == f"{best}\n"


@needs_core
@pytest.mark.parametrize("name", ["amx", "avx512_bf16", "avx512", "avx2", "neon", "baseline"])
def test_the_environment_forces_a_variant_or_is_refused(name):
    forced = run("from foretell import native; print(native.active())", FORETELL_CPU=name)
    if name in native.variants():
        assert forced.stdout == f"{name}\n"
    else:
        assert "InputError: FORETELL_CPU must be one of" in forced.stderr


@needs_core
def test_an_unknown_variant_is_refused_with_the_known_ones():
    refused = run("from foretell import native; native.active()", FORETELL_CPU="abacus")
    allowed = ", ".join(native.variants())
    assert f"InputError: FORETELL_CPU must be one of {allowed} on this machine; got 'abacus'." in refused.stderr


def test_without_the_core_the_import_is_silent():
    silent = run(WITHOUT_CORE)
    assert (silent.returncode, silent.stderr) == (0, "")


def test_without_the_core_the_first_use_warns_once():
    used = run(WITHOUT_CORE + "print(native.active(), native.active(), native.variants(), native.features())")
    assert used.stdout == "None None [] []\n"
    assert used.stderr.count("RuntimeWarning: Foretell runs on PyTorch alone") == 1
