import numpy as np
import pytest

from meshlam_core.head.io import load_head
from meshlam_core.head.lids import BLINKS, closing_of


@pytest.fixture(scope="module")
def head():
    return load_head()


def gaps(vertices, rims):  # [U] m, from the upper lid's rim down to the lower one's; negative where they overlap
    lower = vertices[rims.lower][np.argsort(vertices[rims.lower, 0])]
    upper = vertices[rims.upper]
    return upper[:, 1] - np.interp(upper[:, 0], lower[:, 0], lower[:, 1])


@pytest.mark.parametrize("name", BLINKS)
def test_a_blink_of_one_shuts_the_open_heads_eye_and_lays_no_lid_over_the_other(head, name):
    key = head.blendshape_names.index(name)
    rims = closing_of(head).rims[key]
    template = head.template.astype(float)
    assert gaps(template, rims).max() > 7e-3
    assert np.abs(gaps(template + head.blendshapes[key], rims)).max() < 0.45e-3


@pytest.mark.parametrize("seed", range(4))
def test_it_shuts_every_persons_eyes(head, seed):
    rng = np.random.default_rng(seed)
    identity = rng.normal(0, 1, len(head.identity_basis))
    vertices = head.template + np.tensordot(identity, head.identity_basis, 1)
    closing = closing_of(head)
    shapes, _ = closing.met(vertices, head.blendshapes, np.zeros(len(head.blendshapes)))
    assert len(closing.rims) == 2
    for key, rims in closing.rims.items():
        assert np.abs(gaps(vertices + shapes[key], rims)).max() < 0.45e-3


def test_lids_stay_where_the_photo_shows_them(head):
    closing = closing_of(head)
    expression = np.zeros(len(head.blendshapes))
    vertices = head.template.astype(float)
    for key, rims in closing.rims.items():
        expression[key] = 0.5
        vertices[rims.upper, 1] += 0.002  # eyes wider than the model's
    shapes, values = closing.met(vertices, head.blendshapes, expression)
    for key, rims in closing.rims.items():
        before, after = (e[key] * s[key][rims.upper, 1] for e, s in ((expression, head.blendshapes), (values, shapes)))
        assert np.abs(after - before).mean() < 0.3e-3
        assert values[key] < expression[key]
