"""One answer from several nodes: it counts when a majority of those that answer say the same of the same block.

With one node there is nothing to compare. Called by `client.py` for what is shown as money or taken as final.
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from desktop_app.adapters.chain.abi import nonsense
from desktop_app.core.errors import AppError

if TYPE_CHECKING:
    from desktop_app.adapters.chain.rpc import Json, Nodes, Request, RpcError

_log: Final = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Word(Generic[K]):
    """What a node says: a value, or a contract's refusal."""

    value: K | None
    refusal: str = ""

    def __str__(self) -> str:
        return f"no ({self.refusal})" if self.value is None else str(self.value)


class Disagreement(AppError):
    """The nodes say different things, and no majority says one."""

    def __init__(self, words: Sequence[tuple[str, object]]) -> None:
        said = "; ".join(f"{url} says {str(what)[:100]}" for url, what in words)
        advice = "Ask again in a minute; if it stays so, leave out the one that lies."
        super().__init__(f"The chain's nodes contradict one another: {said}.", advice)


def reached(nodes: "Nodes", tag: str, number_of: "Callable[[Json], int]") -> int:
    """The highest block that a majority of the answering nodes have; `tag` as `eth_getBlockByNumber` takes it."""
    found = []
    for said in nodes.ask_all(("eth_getBlockByNumber", (tag, False))):
        try:
            found.append(number_of(said.results[0]) if said.error is None else None)
        except AppError:
            _distrust(nodes, said.url, "a block that is none")
    numbers = sorted((one for one in found if one is not None), reverse=True)
    if not numbers:
        raise nonsense(f"no node tells its {tag} block")
    return numbers[len(numbers) // 2]


def agreed(nodes: "Nodes", requests: "Sequence[Request]", read: "Callable[[tuple[Json, ...]], K]") -> K:
    """What a majority of the answering nodes say; the others are named in the log, and asked last for a while.

    `read` makes answers comparable. A node that has not got that block, or talks nonsense, has not answered. Raises
    Disagreement without a majority, RpcError when the majority says that a contract refuses, AppError when none answers.
    """
    words: list[tuple[str, _Word[K]]] = []
    errors: dict[str, RpcError] = {}
    everything = nodes.ask_all(*requests)
    for said in everything:
        try:
            if said.error is None:
                words.append((said.url, _Word(read(said.results))))
            elif said.error.data:
                words.append((said.url, _Word(None, said.error.data)))
                errors[said.error.data] = said.error
        except AppError:
            _distrust(nodes, said.url, "nonsense")
    if not words:
        raise nonsense(str(everything[0].error or "nothing that makes sense")[:200])
    word, count = Counter(what for _, what in words).most_common(1)[0]
    if 2 * count <= len(words):
        raise Disagreement(words)
    for url, what in words:
        if what != word:
            _distrust(nodes, url, what)
    if word.value is None:
        raise errors[word.refusal]
    return word.value


def _distrust(nodes: "Nodes", url: str, what: object) -> None:
    _log.warning("the node %s stands alone: it says %s", url, str(what)[:100])
    nodes.distrust(url)
