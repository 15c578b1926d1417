"""The plane of three target words in which a decoder's last state is looked at.

Müller et al. 2019, section 2, with the algorithm of Chandrasegaran et al. 2022: an orthonormal basis of the three
words' rows of the output projection (QR), then PCA from three dimensions to two, fitted on training tokens and used
for validation tokens. D the width of states, V symbols, n tokens of a class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lskd_nmt.errors import require
from lskd_nmt.storage.arrays import Float64s, Floats
from lskd_nmt.storage.typed import record

DIGITS = 5  # of coordinates in JSON


@record
class SplitPicture:
    """What is drawn of one split: points, means and distances of three classes in the plane."""

    points: list[list[list[float]]]  # of each class, (n, 2)
    centroids: list[list[float]]  # (3, 2)
    spreads: list[float]  # the root mean squared distance of a class's points from their mean
    distances: list[float]  # between the means of the first and second, first and third, second and third class


@record
class Picture:
    """A model in the plane of three words."""

    explained_variance: list[float]  # by the plane's two axes, of the variance in the three dimensions
    splits: dict[str, SplitPicture]


@dataclass(frozen=True)
class Plane:
    """The map x ↦ (xᵀQ − mean) · axes from states to the plane."""

    basis: Float64s  # Q (D, 3), or (D + 1, 3) with a bias
    mean: Float64s  # (3,)
    axes: Float64s  # (3, 2)
    explained: tuple[float, float]  # of the variance in the three dimensions


def basis(projection: Floats, bias: Floats | None, classes: Sequence[int]) -> Float64s:
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


def coordinates(state: Floats, basis: Float64s) -> Float64s:
    """States in the three dimensions; a 1 is appended where the basis has a bias.   (n, D) -> (n, 3)"""
    states = np.asarray(state, dtype=np.float64)
    if len(basis) == states.shape[1] + 1:
        states = np.column_stack((states, np.ones(len(states))))
    return states @ basis


def fit(state: Sequence[Floats], basis: Float64s) -> Plane:
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


def place(state: Floats, plane: Plane) -> Float64s:
    """States in the plane.   (n, D) -> (n, 2)"""
    return (coordinates(state, plane.basis) - plane.mean) @ plane.axes


def picture(
    projection: Floats, bias: Floats | None, classes: Sequence[int], splits: Mapping[str, Sequence[Floats]]
) -> Picture:
    """Points, centroids, spreads and distances of each split in the plane fitted on `train`.   3 of (n, D) a split"""
    plane = fit(splits["train"], basis(projection, bias, classes))
    found = {name: split([place(each, plane) for each in states]) for name, states in splits.items()}
    return Picture(list(plane.explained), found)


def split(points: Sequence[Float64s]) -> SplitPicture:
    """What is drawn of one split.   3 of (n, 2)"""
    centres = [each.mean(0) for each in points]
    spreads = [
        float(np.sqrt(((each - centre) ** 2).sum(1).mean())) for each, centre in zip(points, centres, strict=True)
    ]
    pairs = ((0, 1), (0, 2), (1, 2))
    return SplitPicture(
        points=[each.round(DIGITS).tolist() for each in points],
        centroids=[centre.round(DIGITS).tolist() for centre in centres],
        spreads=spreads,
        distances=[float(np.linalg.norm(centres[a] - centres[b])) for a, b in pairs],
    )
