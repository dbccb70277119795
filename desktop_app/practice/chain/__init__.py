"""The embedded chain: a real EVM with test money, reached over JSON-RPC on loopback, as a live chain is.

`practice/evm.py` is its process; the office founds the market on it as on any other chain (`adapters.chain.deploying`).
Nothing here is imported by the agent, so that the agent cannot tell this chain from a live one.
"""
