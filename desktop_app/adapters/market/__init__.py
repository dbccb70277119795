"""The market, outside: everything that speaks NATS, and nothing else does.

`Market` is the agent's side. `Bus` keeps a connection alive for whoever serves or rents (the pool, the renter), `Session` is
one connection with JetStream's streams, buckets and blobs in typed form, and `open_house` lays out streams and buckets.
Called by the composition roots.
"""

from desktop_app.adapters.market.bus import Bus, Endpoint
from desktop_app.adapters.market.ending import together
from desktop_app.adapters.market.house import durable, open_house
from desktop_app.adapters.market.market import Market
from desktop_app.adapters.market.pulling import PULL_WAIT_S, Puller, kept
from desktop_app.adapters.market.session import Delivery, Entry, Session

__all__ = [
    "PULL_WAIT_S",
    "Bus",
    "Delivery",
    "Endpoint",
    "Entry",
    "Market",
    "Puller",
    "Session",
    "durable",
    "kept",
    "open_house",
    "together",
]
