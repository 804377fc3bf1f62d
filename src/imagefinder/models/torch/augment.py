"""Other looks of the same pictures: what is learned must not hang on where things lie."""

import math

import torch

LEAST_AREA = 0.6  # of a picture: less would often lose what its label is about
WIDEST = 4 / 3  # a cut is so much wider or higher than it was


def augmented(pixels: torch.Tensor, numbers: torch.Generator) -> torch.Tensor:
    """(n, 3, height, width) -> the same shape: of each picture a random part at full size, every
    second one mirrored; the same for the same state of `numbers`."""
    cuts = random_cuts(len(pixels), numbers)
    grid = torch.nn.functional.affine_grid(cuts, list(pixels.shape), align_corners=False)
    return torch.nn.functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def random_cuts(count: int, numbers: torch.Generator) -> torch.Tensor:
    """(n, 2, 3): where each place of the new picture lies in the old one, whose sides go from -1
    to 1."""
    area, shape, mirror, across, down = torch.rand(5, count, generator=numbers)
    area = LEAST_AREA + (1 - LEAST_AREA) * area
    shape = torch.exp((2 * shape - 1) * math.log(WIDEST))
    width = torch.sqrt(area * shape).clamp(max=1)
    height = torch.sqrt(area / shape).clamp(max=1)
    cuts = torch.zeros(count, 2, 3)
    cuts[:, 0, 0] = torch.where(mirror < 0.5, -width, width)
    cuts[:, 1, 1] = height
    cuts[:, 0, 2] = (2 * across - 1) * (1 - width)
    cuts[:, 1, 2] = (2 * down - 1) * (1 - height)
    return cuts
