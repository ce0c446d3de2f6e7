"""The end of an exported model as an ONNX graph: from what its network said to an answer."""

import numpy as np
import onnx

from timbre.model_file import ModelCard
from timbre.onnx_text import Constants, graph_of_text
from timbre.problems import InputError
from timbre.rejection import SHIPPED

# In float64, as timbre.answers and timbre.rejection compute. Shapes are in the comments: W windows,
# C classes, D features of an embedding.
GRAPH = """
verdict (float[n_windows, n_classes] logits, float[n_windows, n_features] embedding)
    => (float[n_classes] probs, float score, bool known)
{
    # The mean over the windows of softmax(logits / temperature).
    exact_logits = Cast <to = 11> (logits)                      # (W, C)
    cooled = Div (exact_logits, temperature)
    of_windows = Softmax <axis = 1> (cooled)
    exact_probs = ReduceMean <keepdims = 0> (of_windows, over_windows)
    probs = Cast <to = 1> (exact_probs)                         # (C,)

    # timbre.rejection.class_projection of the mean embedding.
    exact_embedding = Cast <to = 11> (embedding)                # (W, D)
    place = ReduceMean <keepdims = 0> (exact_embedding, over_windows)
    from_middle = Sub (place, middle)
    exact_within = Cast <to = 11> (within)                      # (D, D)
    point = MatMul (from_middle, exact_within)                  # (D,)
    point_squares = Mul (point, point)
    sum_of_squares = ReduceSum <keepdims = 0> (point_squares)
    length = Sqrt (sum_of_squares)
    not_zero = Max (length, least_length)
    direction = Div (point, not_zero)
    cosines = MatMul (direction, class_directions)              # (C,)
    cosine = ReduceMax <keepdims = 0> (cosines)
    size = Abs (cosine)
    signed_square = Mul (cosine, size)
    exact_score = Mul (length, signed_square)
    known = GreaterOrEqual (exact_score, threshold)
    score = Cast <to = 1> (exact_score)
}
"""
LEAST_LENGTH = 1e-12


def verdict_graph(card: ModelCard) -> onnx.GraphProto:
    """Return the graph from `logits` and `embedding` of the windows to `probs`, `score`, `known`.

    Raises InputError for a model with another rejection score than the shipped one.
    """
    if card.rejection.score != SHIPPED:
        raise InputError(
            f"its rejection score is {card.rejection.score}, and only {SHIPPED} can be exported: "
            "retrain"
        )
    marks = card.rejection.landmarks
    means = marks.means.astype(np.float64)
    middle = means.mean(axis=0)
    places = (means - middle) @ marks.within.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(places, axis=1, keepdims=True), LEAST_LENGTH)
    constants: Constants = {
        "temperature": np.float64(card.temperature),
        "over_windows": np.array([0]),
        "middle": middle,
        "within": marks.within,
        "class_directions": (places / lengths).T,
        "least_length": np.float64(LEAST_LENGTH),
        "threshold": np.float64(card.rejection.threshold),
    }
    return graph_of_text(GRAPH, constants)
