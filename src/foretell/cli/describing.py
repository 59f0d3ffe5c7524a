"""What this installation is and runs on."""

import platform

from foretell import __version__


def describe_installation() -> tuple[tuple[str, str], ...]:
    """Name and value: versions, and who computes."""
    import torch

    from foretell import native

    return (
        ("Foretell", __version__),
        ("Python", platform.python_version()),
        ("PyTorch", str(torch.__version__)),
        ("Threads", str(torch.get_num_threads())),
        ("Compiled core", native.active() or "missing; PyTorch does the work alone"),
        ("CPU features", ", ".join(native.features()) or "unknown"),
    )
