"""The plane of three target words in which a decoder's last state is looked at.

Müller et al. 2019, section 2, with the algorithm of Chandrasegaran et al. 2022: an orthonormal basis of the three
words' rows of the output projection (QR), then PCA from three dimensions to two, fitted on training tokens and used
for validation tokens. N tokens, D width, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.errors import require

Array = NDArray[np.floating[Any]]
Matrix = NDArray[np.float64]
DIGITS = 5  # of coordinates in JSON


@dataclass(frozen=True)
class Plane:
    """x ↦ (xᵀQ − mean) · axes."""

    basis: Matrix  # Q (D, 3), or (D + 1, 3) with a bias
    mean: Matrix  # (3,)
    axes: Matrix  # (3, 2)
    explained: tuple[float, float]  # of the variance in the three dimensions


def basis(projection: Array, bias: Array | None, classes: Sequence[int]) -> Matrix:
    """Q of the QR decomposition of the three rows, each with its bias appended if there is one.   -> (D [+ 1], 3)

    The triangle's diagonal is positive, which makes Q unique.
    """
    rows = np.asarray(projection[list(classes)], dtype=np.float64)
    if bias is not None:
        rows = np.column_stack((rows, np.asarray(bias[list(classes)], dtype=np.float64)))
    require(
        np.linalg.matrix_rank(rows) == 3,
        "the rows of the output projection of the three tokens span no space of three dimensions: give other --tokens",
    )
    q, triangle = np.linalg.qr(rows.T)
    return np.asarray(q * np.sign(np.diag(triangle)))


def coordinates(state: Array, basis: Matrix) -> Matrix:
    """States in the three dimensions; a 1 is appended where the basis has a bias.   (n, D) -> (n, 3)"""
    states = np.asarray(state, dtype=np.float64)
    if len(basis) == states.shape[1] + 1:
        states = np.column_stack((states, np.ones(len(states))))
    return states @ basis


def fit(state: Sequence[Array], basis: Matrix) -> Plane:
    """PCA of the training states of three classes and their centroids.   3 of (n, D)

    Turned so that the third class lies to the right of the other two, and the first above the second.
    """
    spaces = [coordinates(each, basis) for each in state]
    centres = np.array([space.mean(0) for space in spaces])
    together = np.concatenate((*spaces, centres))
    mean = together.mean(0)
    _, scales, axes = np.linalg.svd(together - mean, full_matrices=False)
    sides = (centres[2] - centres[:2].mean(0), centres[0] - centres[1])
    signs = [-1.0 if axis @ side < 0 else 1.0 for axis, side in zip(axes[:2], sides, strict=True)]
    shares = scales**2 / (scales**2).sum()
    return Plane(basis, mean, axes[:2].T * signs, (float(shares[0]), float(shares[1])))


def place(state: Array, plane: Plane) -> Matrix:
    """States in the plane.   (n, D) -> (n, 2)"""
    return (coordinates(state, plane.basis) - plane.mean) @ plane.axes


def picture(
    projection: Array, bias: Array | None, classes: Sequence[int], splits: Mapping[str, Sequence[Array]]
) -> dict[str, Any]:
    """Points, centroids, spreads and distances of each split in the plane fitted on `train`.   3 of (n, D) a split"""
    plane = fit(splits["train"], basis(projection, bias, classes))
    found = {name: split([place(each, plane) for each in states]) for name, states in splits.items()}
    return {"explained_variance": plane.explained, "splits": found}


def split(points: Sequence[Matrix]) -> dict[str, Any]:
    """What is drawn of one split: for each class, points (n, 2), their mean, their root mean squared distance from it.

    `distances`: between the means of the first and second, the first and third, the second and third class.
    """
    centres = [each.mean(0) for each in points]
    spreads = [
        float(np.sqrt(((each - centre) ** 2).sum(1).mean())) for each, centre in zip(points, centres, strict=True)
    ]
    pairs = ((0, 1), (0, 2), (1, 2))
    return {
        "points": [each.round(DIGITS).tolist() for each in points],
        "centroids": [centre.round(DIGITS).tolist() for centre in centres],
        "spreads": spreads,
        "distances": [float(np.linalg.norm(centres[a] - centres[b])) for a, b in pairs],
    }
