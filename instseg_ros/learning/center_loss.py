"""The loss of the centers."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from instseg_ros.core.types import UNLABELLED


def center_loss(logits: Tensor, target: Tensor, gamma: float, positive_weight: float,
                unlabelled: Tensor | None = None) -> Tensor:
    """Binary cross-entropy modulated by an exponent, against the flood of background.

    -w (1 - p_t) ** gamma ln(p_t), where p_t is the probability of the label and w is
    `positive_weight` for centers and 1 elsewhere; summed over the pixels and divided by the number
    of center pixels. The modulation is that of Lin et al., "Focal Loss for Dense Object
    Detection", ICCV 2017, equation 4; weight and divisor are ours.

    The label "no center" leaves open what an unlabelled thing has there, so that its probability
    is (1 - q) (1 - c) + q for a confidence c, if the pixel shows such a thing with probability q.

    Parameters
    ----------
    logits : (N, H, W)
    target : (N, H, W) uint8
        1: center, 0: none, 255: ignore.
    unlabelled : (N, H, W), optional
        q, which is used where the target is 0; default: 0.
    """
    positive = target == 1
    signed = torch.where(positive, logits, -logits)
    log_right = F.logsigmoid(signed)
    if unlabelled is not None:
        open_share = unlabelled.clamp(min=torch.finfo(logits.dtype).tiny).log()
        either = torch.logaddexp(log_right, open_share + F.logsigmoid(logits))
        log_right = torch.where(positive, log_right, either)
    loss = -((1.0 - log_right.exp()) ** gamma) * log_right
    weight = torch.where(positive, positive_weight, 1.0) * (target != UNLABELLED)
    return (loss * weight).sum() / positive.sum().clamp(min=1)
