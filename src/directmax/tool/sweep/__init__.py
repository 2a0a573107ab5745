"""Grids of trainings: every combination of some settings, each with several seeds."""
