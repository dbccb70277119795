"""The side of the market that has work and pays for it: orders, what comes back, and whether it is good."""
