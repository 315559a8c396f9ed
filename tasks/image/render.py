"""Drawings of molecules as ImageMol makes them (ImageMol, data processing of the pretraining set)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rdkit import Chem, rdBase
from rdkit.Chem import Draw

from bench.errors import RequestError


def render(smiles: str, render_pixels: int, pixels: int) -> NDArray[np.uint8]:
    """Draw one molecule and shrink the drawing by area.

    The drawing is RDKit's grid image of a single cell: default colours on white ground, a square of
    ``render_pixels`` a side. A pixel of the result is the mean of the area it covers.

    Returns
    -------
    Array of shape (pixels, pixels, 3).

    Raises
    ------
    RequestError: naming the SMILES string, if RDKit cannot read or draw it.
    """
    with rdBase.BlockLogs():  # its warnings would go to the user's terminal
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise RequestError(f"smiles: expected a molecule that RDKit can read, got {smiles!r}")
        try:
            drawing = Draw.MolsToGridImage(  # type: ignore[no-untyped-call]
                [molecule], molsPerRow=1, subImgSize=(render_pixels, render_pixels), returnPNG=False
            )
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise RequestError(
                f"smiles: expected a molecule that RDKit can draw, got {smiles!r} ({reason[0]})"
            ) from error
    drawing = drawing.convert("RGB")
    if pixels != render_pixels:
        drawing = drawing.resize((pixels, pixels), Image.Resampling.BOX)
    return np.asarray(drawing, dtype=np.uint8)
