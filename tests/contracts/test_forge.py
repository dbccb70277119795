"""The Solidity side: the vectors through the real escrow, and a short game of everybody against the invariants.

`tests/contracts/forge/` says what is played. A night's game is `python -m tests.contracts.forge --calls 1000000`.
"""

from pathlib import Path

from tests.contracts.forge.__main__ import play

CALLS = 6_000
"""What a core plays in some seconds; compiling takes longer. The seed is fixed, so that every act is known to happen in it."""


def test_the_invariants_and_the_vectors_hold_in_solidity(modules: Path) -> None:
    played = play(modules, CALLS, seed="0x7", limit_s=170)
    print(played.table())
    assert played.passed, played.output
    assert "[PASS] test_every_vector()" in played.output
    assert "[PASS] invariant_everything_holds()" in played.output
    assert f"calls: {CALLS}, reverts: 0" in played.output
    assert played.never == []
