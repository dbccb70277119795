"""A program for a sandbox that says one word and waits: for tests that look at the sandbox and not at a worker."""

import time

print("a word", flush=True)
time.sleep(60)
