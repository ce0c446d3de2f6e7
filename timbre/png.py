"""Small pictures for a page: PNG files of few colours, written without another library.

A pixel is one byte, an index into a palette of colours, which may be transparent. Format: W3C,
"Portable Network Graphics (PNG) specification", third edition, 2025.
"""

import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

Bytes = npt.NDArray[np.uint8]

N_COLOURS = 64
MOST_COLUMNS = 640  # of a spectrogram; more are no sharper on a screen, and a long window has many
MOST_ROWS = 256
LOUD = "magma"  # black is silent
LOOKED = (40, 255, 190)  # a green that is not among the colours of LOUD
MOST_OPAQUE = 0.75  # what was looked at must be seen through it


def png(indices: Bytes, palette: Bytes) -> bytes:
    """Return a PNG of `indices` `(n_rows, n_columns)` into `palette`, `(n_colours, 4)` RGBA."""
    n_rows, n_columns = indices.shape
    unfiltered = np.concatenate([np.zeros((n_rows, 1), np.uint8), indices], axis=1)
    header = struct.pack(">IIBBBBB", n_columns, n_rows, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", palette[:, :3].tobytes())]
    if (palette[:, 3] < 255).any():
        chunks.append((b"tRNS", palette[:, 3].tobytes()))
    chunks += [(b"IDAT", zlib.compress(unfiltered.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def spectrogram_png(log_mel: npt.NDArray[np.floating], top_db: float) -> bytes:
    """Draw a spectrogram `(n_mels, n_frames)` in dB, from `-top_db` to 0; low bands at the foot."""
    n_rows, n_columns = log_mel.shape
    size = min(n_columns, MOST_COLUMNS), min(n_rows, MOST_ROWS)
    # The mean over cells that share a pixel; where none do, the values as they are.
    shown = np.asarray(
        cv2.resize(log_mel.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32
    )
    colours = colormaps[LOUD](np.linspace(0, 1, N_COLOURS), bytes=True)
    return png(_levels(1 + shown / top_db), np.asarray(colours, np.uint8))


def attention_png(attention: npt.NDArray[np.floating]) -> bytes:
    """Draw a map `(n_rows, n_columns)` of 0 to 1 to be laid over a spectrogram: 0 is clear.

    A pixel a cell; a browser that stretches it interpolates.
    """
    alpha = np.linspace(0, 255 * MOST_OPAQUE, N_COLOURS).round()
    palette = np.column_stack([np.tile(LOOKED, (N_COLOURS, 1)), alpha]).astype(np.uint8)
    return png(_levels(attention), palette)


def _levels(shares: npt.NDArray[np.floating]) -> Bytes:
    """Return 0 to 1 as indices of N_COLOURS colours, upside down: files begin at the top."""
    levels = np.rint(np.clip(shares, 0, 1) * (N_COLOURS - 1))
    return np.ascontiguousarray(levels[::-1]).astype(np.uint8)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
