"""Sublet: rents out a GPU while its owner is away, pays the owner per task, and gives the GPU back at once."""
