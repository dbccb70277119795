"""The tray and its window: a thin client that draws the agent's state and posts the owner's messages.

The only room where PySide6 may be imported. It holds no truth: kill it at any moment and nothing is lost.
"""
