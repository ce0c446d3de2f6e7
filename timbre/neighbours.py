"""The nearest clips in the space of embeddings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

MOST_PRODUCTS = 1 << 24  # at a time: 128 MB, however many clips there are
SHORTEST = 1e-12  # an embedding of zeros is like no other


@dataclass(frozen=True)
class Neighbours:
    """For each query its nearest places, the nearest first."""

    index: Integers  # (n_queries, k), into the places
    similarity: Floats  # (n_queries, k), cosine: 1 is the same direction

    def of(self, query: int) -> list[tuple[int, float]]:
        """Return a query's places and their similarities."""
        return list(zip(self.index[query].tolist(), self.similarity[query].tolist(), strict=True))


def nearest(queries: Floats, places: Floats, k: int) -> Neighbours:
    """Find the `k` places, or all, of highest cosine with each query.

    `queries` `(n_queries, n_features)`, `places` `(n_places, n_features)`. Of equals the first.
    """
    k = min(k, len(places))
    units = _units(places).T
    size = max(1, MOST_PRODUCTS // max(1, len(places)))
    index = np.zeros((len(queries), k), np.int64)
    similarity = np.zeros((len(queries), k))
    for start in range(0, len(queries) if k else 0, size):
        cosines = _units(queries[start : start + size]) @ units
        for row, own in enumerate(cosines, start):
            index[row] = _highest(own, k)
            similarity[row] = own[index[row]]
    return Neighbours(index, similarity)


def _highest(values: Floats, k: int) -> Integers:
    least = np.partition(values, len(values) - k)[len(values) - k]
    among = np.flatnonzero(values >= least)
    return np.asarray(among[np.argsort(-values[among], kind="stable")[:k]])


def _units(vectors: Floats) -> Floats:
    # No copy in float64: there may be a million of them.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return np.asarray(vectors / np.maximum(lengths, SHORTEST)[:, None].astype(vectors.dtype))
