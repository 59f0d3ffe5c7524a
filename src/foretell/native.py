"""The one door to the compiled core, which need not be there: without it, PyTorch does the work alone."""

import functools
import importlib
import warnings
from types import ModuleType

from foretell.errors import InputError


@functools.cache
def load() -> ModuleType | None:
    """The compiled core, or None after one RuntimeWarning if it was not built or does not load.

    Raises InputError if the environment variable FORETELL_CPU names a variant that this machine does not run.
    """
    importlib.import_module("torch")  # first, so that the core finds torch's OpenMP, and shares its threads
    try:
        core = importlib.import_module("foretell._native")
    except ImportError as error:
        warnings.warn(
            f"Foretell runs on PyTorch alone, because its compiled core is missing ({error}): "
            "to have it, install a C++20 compiler and then Foretell again.",
            RuntimeWarning,
            stacklevel=3,
        )
        return None
    try:
        core.active()
    except ValueError as error:
        raise InputError(str(error)) from None
    return core


def features() -> list[str]:
    """The features of this CPU that kernels may ask for, such as "avx2"; empty without the compiled core."""
    core = load()
    return core.features() if core else []


def variants() -> list[str]:
    """The instruction-set variants that this machine runs, best first; empty without the compiled core."""
    core = load()
    return core.variants() if core else []


@functools.cache
def multiplies_bfloat16() -> bool:
    """Does the variant in use have kernels that multiply bfloat16 as it is?"""
    core = load()
    return core is not None and core.multiplies_bfloat16()


def active() -> str | None:
    """The variant in use: the one FORETELL_CPU names, else the best; None without the compiled core."""
    core = load()
    return core.active() if core else None
