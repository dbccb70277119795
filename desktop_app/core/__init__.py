"""The pure core: what is true, what happened, and what to do about it.

Standard library only; no input or output, clock, randomness, threads or logging. The engine calls `core.update.update`;
every other room reads the types.
"""
