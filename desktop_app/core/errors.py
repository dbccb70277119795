"""The one exception type people see, raised at an adapter's single door when the world is broken.

A refusal ("the price is below your floor") is a value, not an exception. `AppError` is for a disk that is full, a chain
that answers nonsense, a file that cannot be read: it names the trouble and says what to do next, and never carries a
secret. Called by every adapter; caught by the composition roots.
"""


class AppError(Exception):
    """A broken world, in words: `title` says what is wrong, `advice` what the reader can do about it."""

    def __init__(self, title: str, advice: str) -> None:
        super().__init__(f"{title} {advice}")
        self.title = title
        self.advice = advice
