"""Rows of tokens for the language model: cut end to end out of packed shards, read as they are needed.

A shard is safetensors with one tensor `tokens` (uint16 or int32, any shape, read in order), which stays on the disk, or JSON
lines, each a list of token ids, which are put one after the other. Called by `lora` and `lora_check`.
"""

from array import array
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from desktop_app.worker.kinds.draws import generator
from desktop_app.worker.kinds.mapped import Mapped, Slice

_MOST_ROWS = 4_000_000  # as many as can be shuffled within a micro-step
_DTYPES = {"U16", "I32"}
_LIST = msgspec.json.Decoder(list[int])  # knows its depth beforehand, whatever a stranger nests


class TokenRows:
    """Rows of `context` tokens; what is left over at the end of a shard is not used."""

    def __init__(self, paths: Sequence[Path], context: int, vocab: int) -> None:
        """ValueError if a file is no shard of tokens, or all of them hold less than a row, or more rows than can be shuffled."""
        self._context, self._vocab = context, vocab
        self._shards: list[tuple[int, Slice | torch.Tensor]] = []  # rows, tokens
        for path in paths:
            count, tokens = _open(path)
            self._shards.append((count // context, tokens))
        self._count = sum(rows for rows, _ in self._shards)
        if not 0 < self._count <= _MOST_ROWS:
            raise ValueError(f"the data makes {self._count} rows of {context} tokens; there must be one, and at most {_MOST_ROWS:,}")

    def __len__(self) -> int:
        return self._count

    def take(self, rows: Sequence[int]) -> torch.Tensor:
        """int64 [rows, context]. ValueError when a token lies outside the vocabulary."""
        taken = torch.stack([self._row(row) for row in rows])
        if int(taken.min()) < 0 or int(taken.max()) >= self._vocab:
            raise ValueError(f"a token lies outside 0 to {self._vocab - 1}")
        return taken

    def _row(self, row: int) -> torch.Tensor:
        for rows, tokens in self._shards:
            if row < rows:
                return tokens[row * self._context : (row + 1) * self._context].to(torch.int64)
            row -= rows
        raise IndexError(row)


class Order:
    """Which rows each batch takes: all of them once in a shuffled order, then all of them in another. A function of seed and place."""

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        self._rows, self._batch, self._seed = rows, batch, seed
        self._epoch, self._shuffled = -1, torch.empty(0, dtype=torch.int64)

    def batch(self, index: int) -> list[int]:
        """The rows of batch `index`, which may reach from one round into the next."""
        begin = index * self._batch
        return [self._at(place) for place in range(begin, begin + self._batch)]

    def _at(self, place: int) -> int:
        epoch, within = divmod(place, self._rows)
        if epoch != self._epoch:
            self._epoch = epoch
            self._shuffled = torch.randperm(self._rows, generator=generator(self._seed, f"epoch {epoch}"))
        return int(self._shuffled[within])


def _open(path: Path) -> tuple[int, Slice | torch.Tensor]:
    """How many tokens a shard holds, and a way to them."""
    try:
        file = Mapped(path)
    except ValueError:
        lines = _lines(path)
        return len(lines), lines
    told = file.slice("tokens") if file.names() == ["tokens"] else None
    if told is None or told.get_dtype() not in _DTYPES:
        raise ValueError(f"the file {path.name} has not just one tensor `tokens` of uint16 or int32")
    if len(told.get_shape()) == 1:
        return told.get_shape()[0], told
    whole = file.whole("tokens").flatten()
    return len(whole), whole


def _lines(path: Path) -> torch.Tensor:
    """int32, all lists of a file of JSON lines end to end."""
    tokens = array("i")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                tokens.extend(_LIST.decode(line))
            except (ValueError, OverflowError) as error:  # what msgspec refuses is a ValueError
                raise ValueError(f"line {number} of {path.name} is not a list of token ids") from error
    return torch.frombuffer(tokens, dtype=torch.int32) if tokens else torch.empty(0, dtype=torch.int32)
