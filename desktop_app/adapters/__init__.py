"""One outside thing per file. Each adapter knows the core and the wire, and none knows another; the roots introduce them."""
