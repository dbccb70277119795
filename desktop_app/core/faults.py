"""What an error number of NVIDIA's driver (an XID) means for sharing: a program's own doing, or trouble of the card.

The driver reports an XID for the card as a whole and does not say whose program it was. Sources: NVIDIA's XID catalogue
(docs.nvidia.com/deploy/xid-errors, whose first advice for these is to restart the program), and the list of errors that
NVIDIA's own device plugin for Kubernetes does not hold against a card. Called by `update`.
"""

PROGRAMS_OWN = frozenset({
    13,  # graphics engine exception: an illegal instruction or address in a kernel
    31,  # memory page fault: an address that was never given out
    43,  # a program's channel was reset after its own error
    45,  # clearing up after a program that failed or was killed; every kill of ours may cause one
    68,  # video processor exception
    109,  # a context switch timed out
})  # fmt: skip
"""Errors that programs cause. Every other one, known (48, 62 to 64, 74, 79, 94, 95, 119 …) or new, is taken for the card's."""

AFTER_AN_END = 45

HELD = 0
"""No number of the driver's: two seconds after a worker was gone it still held the worker's memory."""


def is_the_cards(xid: int) -> bool:
    """Whether the card is in trouble, so that nothing more may run on it until its owner has looked."""
    return xid not in PROGRAMS_OWN


def ends_a_run(xid: int) -> bool:
    """Whether a program on the card lost its work: the task, or something of the owner's; a run must not go on in doubt."""
    return xid in PROGRAMS_OWN and xid != AFTER_AN_END
