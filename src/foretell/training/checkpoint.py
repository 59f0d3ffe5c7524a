"""A training run on disk, such that one that was killed goes on as if it had not been, bit for bit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from foretell.errors import InputError
from foretell.store import below, write_atomic
from foretell.training.optimizer import AdamW


class Checkpoint:
    """One file: network, its average, the best average, optimizer moments and counters, replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(
        self,
        network: nn.Module,
        average: nn.Module,
        best: Mapping[str, Tensor],
        optimizer: AdamW,
        counters: Mapping[str, Any],
    ) -> None:
        """Tensors and counters of the end of an epoch, in one atomic write."""
        tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
        tensors |= {"moment.first": optimizer.first, "moment.second": optimizer.second}
        own = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        write_atomic(self.path, save(own, {"counters": json.dumps(counters)}))

    def load(
        self, network: nn.Module, average: nn.Module, optimizer: AdamW
    ) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Put network, average and optimizer back; returns the best average and the counters, None without a file."""
        if not self.path.is_file():
            return None
        data = self.path.read_bytes()
        try:
            tensors = load(data)
            moments = tensors["moment.first"], tensors["moment.second"]
        except (SafetensorError, KeyError):
            raise InputError(
                f"{self.path}: the checkpoint is damaged, or of another version; remove it to train from the start."
            ) from None
        network.load_state_dict(below(tensors, "network."))
        average.load_state_dict(below(tensors, "average."))
        for kept, moment in zip((optimizer.first, optimizer.second), moments, strict=True):
            kept.copy_(moment)
        return below(tensors, "best."), json.loads(_metadata(data)["counters"])


def _metadata(data: bytes) -> dict[str, str]:
    """The text entries of a safetensors file: its header is JSON behind its length in 8 bytes."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, dict[str, str]] = json.loads(data[8 : 8 + length])
    return header["__metadata__"]
