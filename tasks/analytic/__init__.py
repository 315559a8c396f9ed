"""Quadratic problems with known optima: the modality on which the weighting methods are proven."""
