"""What a trained network's answers are worth: its temperature, and what it does not know."""

from timbre.answers import Answers
from timbre.calibration import fit_temperature
from timbre.dataset import SpectrogramDataset
from timbre.layers import Network
from timbre.prediction import ask
from timbre.problems import InputError
from timbre.rejection import Rejection, fit_rejection


def measure_confidence(
    network: Network, train: SpectrogramDataset, val: SpectrogramDataset, batch_size: int
) -> tuple[float, Rejection]:
    """Return the temperature, fitted to the validation clips, and the rejection.

    Raises InputError for a network that diverged.
    """
    of_train, of_val = (_finite(ask(network, split, batch_size)) for split in (train, val))
    temperature = fit_temperature(of_val.logits, val.clip_targets(), of_val.clip)
    seen, fresh = (answers.of_clips(temperature) for answers in (of_train, of_val))
    return temperature, fit_rejection(seen, train.clip_targets(), seen.probs.shape[1], fresh)


def _finite(answers: Answers) -> Answers:
    if not answers.are_finite():
        raise InputError(
            "params.yaml: train.lr: the training diverged, the network's answers are not finite: "
            "lower it and train again"
        )
    return answers
