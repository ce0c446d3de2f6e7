"""`timbre export`: a model as one ONNX file, for programs without torch and for browsers."""

from pathlib import Path

import click

EXAMPLES = """\b
Examples:
  timbre export models/timbre.safetensors timbre.onnx
  timbre export models/timbre.safetensors small.onnx --quantise
"""
PATH = click.Path(path_type=Path)


@click.command(epilog=EXAMPLES)
@click.argument("model", type=PATH)
@click.argument("output", type=PATH)
@click.option("--quantise", is_flag=True, help="Weights in 8 bits: a third of the size.")
def export(model: Path, output: Path, quantise: bool) -> None:
    """Write MODEL as ONNX to OUTPUT, which ends with .onnx: waveform in, probabilities out.

    The spectrogram is computed inside, and classes and sample rate are in the file too. What was
    written is compared with torch, where onnxruntime is installed; if they differ, it is removed.
    """
    from timbre.export import export_model

    print(export_model(model, output, quantise=quantise))
