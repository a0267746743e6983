"""The kernels of texture baking; sight.py, atlas.py, skin.py and albedo.py say what they compute.

Imported only by raster/warp_runtime.py. "Texel" means one of the P covered texels.

Dims: V vertices, P covered texels, G entries of the atlas's gather lists, C columns, S texture size, h and w any
      picture's size.
"""

# mypy: ignore-errors
# the annotations are types of the kernel language, and the bodies are compiled, never run as Python

import warp as wp

from meshlam_core.raster.warp_kernels import MODULE
from meshlam_core.texture.sight import HAIR_SLANT, HARDLY, INNER_LIP, MOUTH_SLANT, OUTLINE_SLANT, SKIN_EDGE, STRANGE
from meshlam_core.texture.skin import DETAIL, HAIR_LINE, LID_GRAIN, LIFT, STRAND_WANDER, TRUSTED

KERNELS = ("read_photo", "gather_at_vertices", "compose_skin", "pack_colours", "pack_trust")
HARDLY_SEEN, SLANT = (wp.constant(wp.float32(x)) for x in (HARDLY, MOUTH_SLANT))
HAIR_SLANT_LOW, HAIR_SLANT_HIGH = (wp.constant(wp.float32(x)) for x in HAIR_SLANT)
OUTLINE_LOW, OUTLINE_HIGH = (wp.constant(wp.float32(x)) for x in OUTLINE_SLANT)
EDGE_LOW, EDGE_HIGH = (wp.constant(wp.float32(x)) for x in SKIN_EDGE)
STRANGE_LOW, STRANGE_HIGH = (wp.constant(wp.float32(x)) for x in STRANGE)
LIP_LOW, LIP_HIGH = (wp.constant(wp.float32(x)) for x in INNER_LIP)
TRUST_LOW, TRUST_HIGH = (wp.constant(wp.float32(x)) for x in TRUSTED)
LINE_LOW, LINE_HIGH = (wp.constant(wp.float32(x)) for x in HAIR_LINE)
DETAIL_LOW, DETAIL_HIGH = (wp.constant(wp.float32(x)) for x in DETAIL)
WANDER = wp.constant(wp.float32(STRAND_WANDER))
CALM = wp.constant(wp.float32(1.0 - LID_GRAIN))
LIFTED = wp.constant(wp.float32(LIFT))


@wp.func(module=MODULE)
def between(picture: wp.array3d(dtype=wp.float32), x: wp.float32, y: wp.float32, channel: wp.int32) -> wp.float32:
    """Bilinear; pixel centres at halves, border pixels repeat."""
    u = wp.clamp(x - 0.5, 0.0, wp.float32(picture.shape[1]) - 1.001)
    v = wp.clamp(y - 0.5, 0.0, wp.float32(picture.shape[0]) - 1.001)
    i = wp.int32(u)
    j = wp.int32(v)
    across = u - wp.float32(i)
    down = v - wp.float32(j)
    above = (1.0 - across) * picture[j, i, channel] + across * picture[j, i + 1, channel]
    below = (1.0 - across) * picture[j + 1, i, channel] + across * picture[j + 1, i + 1, channel]
    return (1.0 - down) * above + down * below


@wp.kernel(module=MODULE)
def read_photo(
    places: wp.array1d(dtype=wp.int32),  # [P] row * S + column
    pixel: wp.array2d(dtype=wp.float32),  # [S * S, 2] px of the crop
    view_weight: wp.array1d(dtype=wp.float32),  # [S * S]
    visible: wp.array1d(dtype=wp.float32),  # [S * S]
    cosine: wp.array1d(dtype=wp.float32),  # [S * S]
    hull: wp.array1d(dtype=wp.float32),  # [P]
    scalp: wp.array1d(dtype=wp.float32),  # [P]
    ears: wp.array1d(dtype=wp.float32),  # [P]
    neck: wp.array1d(dtype=wp.float32),  # [P]
    cavity: wp.array1d(dtype=wp.float32),  # [P]
    lash_line: wp.array1d(dtype=wp.float32),  # [P]
    skin: wp.array1d(dtype=wp.bool),  # [P]
    mouth: wp.array1d(dtype=wp.bool),  # [P]
    image: wp.array3d(dtype=wp.float32),  # [h, w, 3] the crop without the ground, perhaps shrunk
    whole: wp.array3d(dtype=wp.float32),  # [h, w, 3] the crop as it is
    maps: wp.array3d(dtype=wp.float32),  # [h, w, 7] see trust.trust_maps
    width: wp.int32,  # of the crop
    height: wp.int32,
    first: wp.int32,
    out: wp.array2d(dtype=wp.float32),  # [P, 5]
    rim: wp.array1d(dtype=wp.float32),  # [P]
    outline: wp.array2d(dtype=wp.float32),  # [P, 4]
):
    """Thread (texel): colour, share of hair and trust; the trust as a dark line; the outline as the photo has it."""
    r = first + wp.tid()
    place = places[r]
    seen = view_weight[place]
    weight = wp.float32(0.0)
    line = wp.float32(0.0)
    hair = wp.float32(0.0)
    if seen > HARDLY_SEEN:
        across = pixel[place, 0] / wp.float32(width)
        down = pixel[place, 1] / wp.float32(height)
        x = across * wp.float32(maps.shape[1])
        y = down * wp.float32(maps.shape[0])
        hair = between(maps, x, y, 1)
        if mouth[r]:
            slanted = seen
            if cavity[r] <= 0.0:
                slanted = wp.min(SLANT * seen, 1.0)
            weight = slanted * between(maps, x, y, 4)
        elif skin[r]:
            bare = 1.0 - (1.0 - scalp[r]) * wp.smoothstep(STRANGE_LOW, STRANGE_HIGH, between(maps, x, y, 3))
            bare = bare * (1.0 - ears[r] * wp.smoothstep(STRANGE_LOW, STRANGE_HIGH, hair))
            if neck[r] > 0.0:
                bare = bare * (1.0 - neck[r] * (1.0 - between(maps, x, y, 2)))
            # hair is no surface: what shows of it at a slant is drawn out along the hull when seen from the side
            facing = seen + scalp[r] * hair * (wp.smoothstep(HAIR_SLANT_LOW, HAIR_SLANT_HIGH, seen) - seen)
            weight = facing * bare * between(maps, x, y, 0)
            dark = wp.max(lash_line[r], wp.smoothstep(LIP_LOW, LIP_HIGH, cavity[r]))
            if dark > 0.0:
                line = seen * dark * between(maps, x, y, 5)
        if wp.max(weight, line) > HARDLY_SEEN:
            x = across * wp.float32(image.shape[1])
            y = down * wp.float32(image.shape[0])
            for c in range(3):
                out[r, c] = between(image, x, y, c)
        else:
            weight = 0.0
            line = 0.0
    if weight == 0.0 and line == 0.0:
        for c in range(3):
            out[r, c] = 0.0
        hair = 0.0
    out[r, 3] = hair
    out[r, 4] = weight
    rim[r] = line
    share = wp.float32(0.0)
    if skin[r] and not mouth[r] and cosine[place] > OUTLINE_LOW:
        slant = cosine[place]
        # skin at its edge only, and none that borders on clothes; hair wherever it shows: ground shines through it
        share = wp.max(hull[r], (1.0 - neck[r]) * (1.0 - wp.smoothstep(EDGE_LOW, EDGE_HIGH, slant)))
        share *= visible[place] * wp.smoothstep(OUTLINE_LOW, OUTLINE_HIGH, slant)
    if share > 0.0:
        x = pixel[place, 0] / wp.float32(width)
        y = pixel[place, 1] / wp.float32(height)
        share *= between(maps, x * wp.float32(maps.shape[1]), y * wp.float32(maps.shape[0]), 6)
        for c in range(3):
            outline[r, c] = between(whole, x * wp.float32(whole.shape[1]), y * wp.float32(whole.shape[0]), c)
    outline[r, 3] = share


@wp.kernel(module=MODULE)
def gather_at_vertices(
    values: wp.array2d(dtype=wp.float32),  # [P, C + 1] the last column is the weight of the others
    texels: wp.array1d(dtype=wp.int32),  # [G] vertex by vertex
    shares: wp.array1d(dtype=wp.float32),  # [G]
    first_of: wp.array1d(dtype=wp.int32),  # [V + 1]
    first: wp.int32,
    out: wp.array2d(dtype=wp.float32),  # [V, C + 1] weighted sums and sums of weights, 0 before
):
    """Thread (vertex) adds up its texels."""
    v = first + wp.tid()
    last = out.shape[1] - 1
    for g in range(first_of[v], first_of[v + 1]):
        p = texels[g]
        weight = values[p, last]
        if weight > 0.0:
            weight = weight * shares[g]
            for c in range(last):
                out[v, c] = out[v, c] + weight * values[p, c]
            out[v, last] = out[v, last] + weight


@wp.func(module=MODULE)
def at(
    values: wp.array2d(dtype=wp.float32),
    column: wp.int32,
    corners: wp.array2d(dtype=wp.int32),
    bary: wp.array2d(dtype=wp.float32),
    r: wp.int32,
) -> wp.float32:
    """A vertex attribute at a texel."""
    return (
        bary[r, 0] * values[corners[r, 0], column]
        + bary[r, 1] * values[corners[r, 1], column]
        + bary[r, 2] * values[corners[r, 2], column]
    )


@wp.kernel(module=MODULE)
def compose_skin(
    corners: wp.array2d(dtype=wp.int32),  # [P, 3]
    bary: wp.array2d(dtype=wp.float32),  # [P, 3]
    twin: wp.array1d(dtype=wp.int32),  # [P]
    grain: wp.array1d(dtype=wp.float32),  # [P]
    strands: wp.array1d(dtype=wp.float32),  # [P]
    lids: wp.array1d(dtype=wp.float32),  # [P]
    relief: wp.array2d(dtype=wp.float32),  # [P, 3]
    photo: wp.array2d(dtype=wp.float32),  # [P, 5] colour, hair, trust
    smooth: wp.array2d(dtype=wp.float32),  # [V, 10] base, skin and hair colours, share of hair
    skin_detail: wp.float32,
    hair_detail: wp.float32,
    first: wp.int32,
    out: wp.array2d(dtype=wp.float32),  # [P, 3]
    shares: wp.array2d(dtype=wp.float32),  # [P, 2] what of the colour is the photo's, and the mirrored side's
):
    """Thread (texel): the photo, below it the mirrored side, below that the fill."""
    r = first + wp.tid()
    weight = photo[r, 4]
    shares[r, 0] = 1.0
    shares[r, 1] = 0.0
    if weight >= TRUST_HIGH:
        for c in range(3):
            out[r, c] = photo[r, c]
        return
    trust = wp.smoothstep(TRUST_LOW, TRUST_HIGH, weight)
    strand = strands[r]
    line = wp.smoothstep(LINE_LOW, LINE_HIGH, at(smooth, 9, corners, bary, r) + WANDER * strand)
    pores = 1.0 + skin_detail * grain[r] * (1.0 - CALM * lids[r])
    other = twin[r]
    mirrored = wp.float32(0.0)
    if twin[other] == r:
        mirrored = (1.0 - trust) * wp.smoothstep(TRUST_LOW, TRUST_HIGH, photo[other, 4])
    # the mirrored side is laid over what is there, so it takes its share from photo and fill alike
    shares[r, 0] = trust * (1.0 - mirrored)
    shares[r, 1] = mirrored
    # a strand is brighter by gloss, which has no hue
    gloss = wp.float32(0.0)
    if line > 0.0:
        for c in range(3):
            gloss += wp.max(hair_detail * strand, 0.0) * at(smooth, 6 + c, corners, bary, r) / 3.0
    shade = 1.0 + wp.min(hair_detail * strand, 0.0)
    for c in range(3):
        colour = wp.float32(0.0)
        if line < 1.0:
            colour = at(smooth, 3 + c, corners, bary, r) * relief[r, c] * pores
        if line > 0.0:
            colour += line * (at(smooth, 6 + c, corners, bary, r) * shade + gloss - colour)
        colour += trust * (photo[r, c] - colour)
        if mirrored > 0.0:
            there = wp.max(at(smooth, c, corners, bary, other), 0.0) + LIFTED
            here = wp.max(at(smooth, c, corners, bary, r), 0.0) + LIFTED
            detail = wp.clamp((photo[other, c] + LIFTED) / there, DETAIL_LOW, DETAIL_HIGH)
            # where hair ends elsewhere on the other side, the ratio belongs to another surface: no glow
            most = wp.max(photo[other, c], here)
            colour += mirrored * (wp.min(here * detail - LIFTED, most) - colour)
        out[r, c] = colour


@wp.func(module=MODULE)
def byte(value: wp.float32) -> wp.uint8:
    """0..1 rounded to 0..255."""
    return wp.uint8(wp.clamp(value, 0.0, 1.0) * 255.0 + 0.5)


@wp.kernel(module=MODULE)
def pack_colours(
    places: wp.array1d(dtype=wp.int32),  # [P] row * S + column
    colour: wp.array2d(dtype=wp.float32),  # [P, 3]
    first: wp.int32,
    albedo: wp.array2d(dtype=wp.uint8),  # [S * S, 3]
):
    """Thread (texel)."""
    r = first + wp.tid()
    place = places[r]
    for c in range(3):
        albedo[place, c] = byte(colour[r, c])


@wp.kernel(module=MODULE)
def pack_trust(
    places: wp.array1d(dtype=wp.int32),  # [P] row * S + column
    weight: wp.array1d(dtype=wp.float32),  # [P] how far the photo is trusted
    shares: wp.array2d(dtype=wp.float32),  # [P, 2] of the photo and of the mirrored side, together at most 1
    first: wp.int32,
    seen: wp.array1d(dtype=wp.uint8),  # [S * S]
    trust: wp.array2d(dtype=wp.uint8),  # [S * S, 4] seen, mirrored, model, network; together 255
):
    """Thread (texel); what neither the photo nor its mirror image gave is the model's, and the network gave nothing."""
    r = first + wp.tid()
    place = places[r]
    seen[place] = byte(weight[r])
    photo = wp.int32(byte(shares[r, 0]))
    mirrored = wp.min(wp.int32(byte(shares[r, 1])), 255 - photo)
    trust[place, 0] = wp.uint8(photo)
    trust[place, 1] = wp.uint8(mirrored)
    trust[place, 2] = wp.uint8(255 - photo - mirrored)
    trust[place, 3] = wp.uint8(0)
