"""The settings of a training, checked; the network and the changes to windows that they ask for."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, StrictBool

from timbre.augmentation import Augmentation
from timbre.channel import IMITATIONS, Channel
from timbre.params import Section
from timbre.problems import InputError


class Train(Section):
    """The section `train` of params.yaml."""

    model: Literal["cnn", "resnet", "notebook"]
    channels: list[int] = Field(min_length=1, max_length=6)  # of each convolution block
    stride: int = Field(ge=1, le=4)  # of the first convolution, both directions
    pool: int = Field(ge=1, le=4)  # of each block's max-pooling, both directions
    last_pool: int = Field(ge=1, le=4)  # of the last block's, over time
    hidden: list[int] = Field(max_length=6)  # widths of the fully connected layers
    dropout: float = Field(ge=0, lt=1)  # share of their outputs dropped
    view_dropout: float = Field(ge=0, le=1)  # of the windows, one view dropped: TwoViews in layers
    optimizer: Literal["adam", "adamw"]
    lr: float = Field(gt=0, le=1)  # learning rate at its highest
    schedule: Literal["constant", "cosine"]
    warmup: float = Field(ge=0, lt=1)  # share of all steps in which the rate rises
    weight_decay: float = Field(ge=0, le=1)
    max_grad_norm: float = Field(gt=0)  # longer gradients are shortened to it
    batch_size: int = Field(ge=2)  # windows a step
    epochs: int = Field(ge=1)  # at most
    patience: int = Field(ge=0)  # epochs without a better validation loss; 0: never stop early
    label_smoothing: float = Field(ge=0, lt=1)
    class_weights: Literal["none", "balanced"]
    mask_bands: int = Field(ge=0)  # SpecAugment: widest run of silenced mel bands; 0: off
    mask_frames: int = Field(ge=0)  # SpecAugment: longest run of silenced frames; 0: off
    n_masks: int = Field(ge=1)  # runs of each kind
    shift_frames: int = Field(ge=0)  # farthest shift in time; 0: off
    mixup: float = Field(ge=0)  # alpha of mixup's Beta distribution; 0: off
    equalise_db: float = Field(ge=0, le=20)  # spread of random equalisation; 0: off
    noise: float = Field(ge=0, le=1)  # share of the windows with noise added, as all down to crop
    babble: float = Field(ge=0, le=1)  # other windows of the batch as background
    reverb: float = Field(ge=0, le=1)
    distortion: float = Field(ge=0, le=1)  # noise that follows the signal, as clipping, codecs add
    gate: float = Field(ge=0, le=1)  # weak cells dropped, as by a codec
    band_limit: float = Field(ge=0, le=1)  # high bands lost, or both ends as by a telephone
    raise_floor: float = Field(ge=0, le=1)
    crop: float = Field(ge=0, le=1)  # a shorter clip
    speed: float = Field(ge=0, le=0.5)  # farthest change of speed, as a share; 0: off
    ramp: float = Field(ge=0, lt=1)  # share of the epochs in which all that grows to full strength
    seed: int = Field(ge=0)
    processes: int = Field(ge=0)  # that train together; 0: one for each GPU
    device: str = Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    precision: Literal["auto", "float32", "bfloat16"]
    compile: StrictBool  # by torch.compile: a minute at the start, for long trainings on a GPU
    memory_gb: float = Field(gt=0)  # for windows; splits that do not fit are streamed through it


def network_sizes(params: Train, n_classes: int, n_mels: int, n_frames: int) -> dict[str, Any]:
    """Return the values that the network's constructor takes.

    Raises InputError if its convolutions would leave nothing of a window.
    """
    shape = {"n_classes": n_classes, "n_mels": n_mels}
    if params.model == "notebook":
        return {**shape, "n_frames": n_frames}
    if params.model == "resnet":
        return {**shape, **params.model_dump(include={"dropout", "view_dropout"})}
    before_last = params.stride * params.pool ** (len(params.channels) - 1)
    lower, shorter = before_last * params.pool, before_last * params.last_pool
    if n_mels < lower or n_frames < shorter:
        raise InputError(
            "params.yaml: train.stride, train.pool, train.last_pool: nothing is left of a "
            f"{n_mels} x {n_frames} spectrogram that is made {lower} times lower and {shorter} "
            "times shorter: lower them, or use fewer channels"
        )
    names = ("channels", "stride", "pool", "last_pool", "hidden", "dropout", "view_dropout")
    return {**shape, **params.model_dump(include=set(names))}


def augmentation(params: Train, features: Mapping[str, str | int | float]) -> Augmentation:
    """Return the changes to training windows that were extracted with `features`."""
    floor_db = -float(features["top_db"])
    channel = Channel(
        **params.model_dump(include=set(IMITATIONS)),
        floor_db=floor_db,
        hop_seconds=int(features["hop_length"]) / int(features["sample_rate"]),
        mel_range=(float(features["fmin"]), float(features["fmax"])),
    )
    names = ("n_masks", "mask_bands", "mask_frames", "shift_frames", "mixup")
    return Augmentation(channel=channel, floor_db=floor_db, **params.model_dump(include=set(names)))
