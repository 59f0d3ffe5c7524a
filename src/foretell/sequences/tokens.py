"""Text as numbers: characters, bytes, or pieces of words learnt from the text (byte-pair encoding)."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError, require, require_known

Kind = Literal["characters", "bytes", "bpe"]
KINDS: tuple[Kind, ...] = ("characters", "bytes", "bpe")
BYTES = 256


class Tokenizer(Protocol):
    """Numbers from 0 below `size`. The special tokens come first; `encode` never gives one."""

    special: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many tokens there are."""

    def encode(self, text: str) -> NDArray[np.int32]:
        """The tokens of a text. InputError for a character that the kind `characters` does not know."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens, special ones left out; half a character becomes U+FFFD."""

    def to_bytes(self, token: int) -> bytes:
        """What one token adds to a text in UTF-8; nothing if it is special."""

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to make it again."""


def train_tokenizer(
    kind: Kind, texts: Iterable[str], size: int | None = None, special: Sequence[str] = ()
) -> Tokenizer:
    """A tokenizer for such texts. `size` is how many tokens byte-pair encoding ends with, special ones included."""
    require_known("train_tokenizer", "kind of tokens", [kind], KINDS)
    if kind == "bpe":
        least = BYTES + len(special)
        require(size is not None and size >= least, "tokens", "size", f"at least {least} for byte-pair encoding", size)
        return _Pieces.train(texts, size or least, tuple(special))
    require(size is None, "tokens", "size", "left out unless the tokens are byte-pair encoded", size)
    if kind == "bytes":
        return _Bytes(tuple(special))
    return _Characters("".join(sorted(set().union(*map(set, texts)))), tuple(special))


def tokenizer_from_json(content: dict[str, Any]) -> Tokenizer:
    """The inverse of `Tokenizer.to_json`."""
    special = tuple(content["special"])
    if content["kind"] == "characters":
        return _Characters(content["characters"], special)
    return _Bytes(special) if content["kind"] == "bytes" else _Pieces(content["pieces"], special)


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """One token for people: a special one by its name, bytes that are no text as \\xNN."""
    if token < len(tokenizer.special):
        return tokenizer.special[token]
    return tokenizer.to_bytes(token).decode("utf-8", "backslashreplace")


class _Characters:
    def __init__(self, characters: str, special: tuple[str, ...]) -> None:
        self.characters, self.special = characters, special
        self._codes = np.array([ord(one) for one in characters], np.uint32)

    @property
    def size(self) -> int:
        return len(self.special) + len(self.characters)

    def encode(self, text: str) -> NDArray[np.int32]:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        places = np.minimum(np.searchsorted(self._codes, codes), max(0, len(self._codes) - 1))
        known = self._codes[places] == codes if len(self._codes) else np.zeros(len(codes), bool)
        if not known.all():
            place = int(np.argmin(known))
            raise InputError(
                f"text, character {place + 1}: {text[place]!r} (U+{ord(text[place]):04X}) is not among the "
                f"{len(self.characters)} characters that the model was trained on; leave it out, or train with "
                "tokens='bytes' or 'bpe', which read every text."
            )
        return (places + len(self.special)).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        first = len(self.special)
        return "".join(self.characters[token - first] for token in tokens if token >= first)

    def to_bytes(self, token: int) -> bytes:
        return self.decode([token]).encode()

    def to_json(self) -> dict[str, Any]:
        return {"kind": "characters", "special": list(self.special), "characters": self.characters}


class _Bytes:
    def __init__(self, special: tuple[str, ...]) -> None:
        self.special = special

    @property
    def size(self) -> int:
        return len(self.special) + BYTES

    def encode(self, text: str) -> NDArray[np.int32]:
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32) + len(self.special)

    def decode(self, tokens: Iterable[int]) -> str:
        return b"".join(map(self.to_bytes, tokens)).decode("utf-8", "replace")

    def to_bytes(self, token: int) -> bytes:
        first = len(self.special)
        return bytes([token - first]) if token >= first else b""

    def to_json(self) -> dict[str, Any]:
        return {"kind": "bytes", "special": list(self.special)}


class _Pieces:
    """Byte-pair encoding over bytes (Sennrich et al. 2016; Radford et al. 2019) by the package `tokenizers`."""

    def __init__(self, pieces: str, special: tuple[str, ...]) -> None:
        from tokenizers import Tokenizer as Engine  # needed by this kind alone

        self.special = special
        self._engine = Engine.from_str(pieces)
        self._engine.encode_special_tokens = True  # "<s>" in a text is three characters
        self._bytes: list[bytes] | None = None

    @classmethod
    def train(cls, texts: Iterable[str], size: int, special: tuple[str, ...]) -> "_Pieces":
        from tokenizers import Tokenizer as Engine
        from tokenizers import decoders, models, pre_tokenizers, trainers

        engine = Engine(models.BPE())
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        engine.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
        )
        engine.train_from_iterator(texts, trainer)
        return cls(engine.to_str(), special)

    @property
    def size(self) -> int:
        return int(self._engine.get_vocab_size())

    def encode(self, text: str) -> NDArray[np.int32]:
        return np.array(self._engine.encode(text, add_special_tokens=False).ids, np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        return b"".join(map(self.to_bytes, tokens)).decode("utf-8", "replace")

    def to_bytes(self, token: int) -> bytes:
        if self._bytes is None:
            self._bytes = self._table()
        return self._bytes[token]

    def to_json(self) -> dict[str, Any]:
        return {"kind": "bpe", "special": list(self.special), "pieces": self._engine.to_str()}

    def _table(self) -> list[bytes]:
        """The bytes of every token: the engine writes each byte as one printable character."""
        letters = _byte_letters()
        pieces = [self._engine.id_to_token(token) or "" for token in range(self.size)]
        return [
            b"" if token < len(self.special) else bytes(letters[letter] for letter in piece)
            for token, piece in enumerate(pieces)
        ]


def _byte_letters() -> dict[str, int]:
    """The byte behind each letter of byte-level pieces: printable ones stand for themselves, the rest from U+0100."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(BYTES) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(BYTES + place): byte for place, byte in enumerate(others)}
