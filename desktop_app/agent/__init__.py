"""The agent: the engine's composition root. It introduces the adapters to the engine and owns their lives.

`main` starts and ends everything, `perform` turns effects into calls, `senses` measures, `money` walks a cash-out and
follows the chain, `wallet` opens the keys, `companion` keeps the practice network alive.
"""
