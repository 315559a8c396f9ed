"""Molecules that try the edges of the features."""

from __future__ import annotations

# 222 heavy atoms, as the largest molecule of HIV has: a chain with rings, double bonds and stereo centres.
LARGE = "O=C(O)" + "C[C@H](N)c1ccccc1" * 20 + "/C=C/C" + "CCO" * 5 + "C" * 21

ODD = (
    "C",  # one atom
    "[Na+]",
    "[H][H]",  # hydrogens that stay atoms
    "[2H]OC",
    "[Na+].[Cl-]",  # several fragments, no bonds
    "CC(=O)[O-].[Na+].O",
    "CC(=O)Oc1ccccc1C(=O)O",
    "F[C@H](Cl)Br",
    "F[C@@H](Cl)Br",
    "C/C=C/C",
    "F/C=C\\F",
    "CC#N",
    "[CH2]C",  # a radical
    "*CC*",  # dummy atoms
    "F[Pt@SP1](Cl)(Br)I",  # chirality without a row in the published table
    "[NH3]->[Fe]",  # a dative bond
    "C$C",  # a quadruple bond
    "[U+6]",
    "C[P-](C)(C)(C)(C)C",
    "[BH4-]",
    LARGE,
)
