"""The market's house: lets tasks in, sets rates, brings signatures on chain, pays vouchers out, buries what nobody runs.

Every part keeps its truth in the market's buckets or on the chain, so that any number of pools may run and none is missed.
Started by `__main__` (`sublet pool`) and by the practice network.
"""
