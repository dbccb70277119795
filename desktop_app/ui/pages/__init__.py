"""One module per page of the window. Each takes a view from `present` and gives messages back."""
