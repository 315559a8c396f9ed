"""Molecule graphs: features, caches, encoders, the objectives, and the problem that puts them together."""
