"""The embedded chain: a real EVM with test money, reached over JSON-RPC on loopback, as a live chain is.

The practice root starts it as a process of its own (`serve.run`), waits for the port it announces, deploys the contracts
with `deploy.deploy` and gives the address to everybody else. Nothing here is imported by the agent, so that the agent
cannot tell this chain from a live one. This file imports nothing, so that `deploy` does not load the EVM, nor `serve` web3.
"""
