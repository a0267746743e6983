from __future__ import annotations

import math

import torch

from meshlam_core.model.encoding import encode_positions, encoded_width, grid_encoding


def test_the_encoding_holds_the_point_and_its_sines_and_cosines_at_every_octave() -> None:
    x = 0.3
    out = encode_positions(torch.tensor([[x]], dtype=torch.float64), 3)[0].tolist()
    expected = [x, *(math.sin(2**k * math.pi * x) for k in range(3)), *(math.cos(2**k * math.pi * x) for k in range(3))]
    assert len(out) == encoded_width(1, 3)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


def test_half_precision_points_are_encoded_in_float32() -> None:
    points = torch.tensor([[0.1234, 0.5, -0.25]])
    out = encode_positions(points.bfloat16(), 10)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, encode_positions(points.bfloat16().float(), 10))


def test_every_image_token_has_its_own_position() -> None:
    codes = grid_encoding(16, 16, 128, torch.zeros(1))
    assert codes.shape == (256, 128)
    distances = torch.cdist(codes, codes) + 10 * torch.eye(256)
    assert distances.min() > 0.1
