"""What crosses a process border: typed codecs, frame limits, the arena's layout, and the phrases a person reads.

Imports the core and msgspec only, so that every process may use it.
"""
