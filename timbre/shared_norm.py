"""Batch normalisation by the statistics of a batch that several processes hold together.

By its own slice alone, a process with two windows would normalise every feature to plus or minus
one, and a model would hang on the number of processes.
"""

import torch
from torch import distributed, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm


def share_norms(network: nn.Module, device: torch.device) -> nn.Module:
    """Have all batch norms of `network` see whole batches; returns it, its parameters the same."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-any-return, no-untyped-call]
    for name, child in network.named_children():
        setattr(network, name, share_norms(child, device))
    return SharedBatchNorm.like(network) if isinstance(network, _BatchNorm) else network


class SharedBatchNorm(_BatchNorm):
    """What torch's SyncBatchNorm does on GPUs alone, for CPUs."""

    @classmethod
    def like(cls, norm: _BatchNorm) -> "SharedBatchNorm":
        """Return one with the parameters, statistics and settings of `norm`."""
        shared = cls(norm.num_features, norm.eps, norm.momentum)
        shared._parameters, shared._buffers = norm._parameters, norm._buffers
        return shared.train(norm.training)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise `(batch, n_features, ...)`; the type stays, statistics are float32."""
        if not self.training:
            known = (self.running_mean, self.running_var, self.weight, self.bias)
            return batch_norm(features, *known, eps=self.eps)
        exact = features.float()
        mean, variance, count = _statistics(exact)
        with torch.no_grad():
            self._keep(mean, variance * (count / (count - 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shape = (1, -1, *[1] * (exact.dim() - 2))
        normalised = (exact - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        return normalised.to(features.dtype)

    def _keep(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _statistics(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return mean and variance `(n_features,)` over the values of all processes, and their number.

    Each process's own are put together without a difference of squares, which would lose digits:
    T. F. Chan and others, "Updating formulae and a pairwise algorithm for computing sample
    variances", 1979.
    """
    dims = [dim for dim in range(features.dim()) if dim != 1]
    own_mean = features.mean(dims)
    own_variance = features.var(dims, correction=0)
    count = torch.full_like(own_mean, features.numel() / features.shape[1])
    rank, size = distributed.get_rank(), distributed.get_world_size()
    row = torch.stack([own_mean, own_variance, count])[None]
    none = torch.zeros_like(row)
    rows = torch.cat([row if place == rank else none for place in range(size)])
    means, variances, counts = _Sum.apply(rows).unbind(1)  # type: ignore[no-untyped-call]
    shares, total = counts / counts.sum(0), counts.sum(0)
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean).square())).sum(0)
    return mean, variance, total


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(_: object, own: torch.Tensor) -> torch.Tensor:
        summed = own.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(_: object, gradient: torch.Tensor) -> torch.Tensor:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed
