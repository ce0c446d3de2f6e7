"""The windows of an exported model are the classifier's."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import noise, run_graph

from timbre.features import Features
from timbre.log_mel import LogMel
from timbre.onnx_windows import windows_graph
from timbre.windows import cut

RATE = 8000
FRONT_END = LogMel(RATE, 256, 100, 16, 50.0, 4000.0, 80.0)


@settings(max_examples=60)
@given(st.integers(1, 9000), st.integers(200, 3000), st.integers(1, 4000), st.booleans())
def test_windows_are_those_of_the_classifier_at_any_length(
    n_samples: int, window: int, hop: int, keep_all: bool
) -> None:
    kept = Features(window / RATE, hop / RATE, keep_all, FRONT_END)
    waveform = noise(n_samples)
    found = run_graph(windows_graph(kept), waveform=waveform)
    starts = found["starts"].tolist()
    assert starts == kept.starts(n_samples, RATE)
    pieces = np.stack([found["padded"][start : start + window] for start in starts])
    np.testing.assert_array_equal(pieces, cut(waveform, starts, window))
