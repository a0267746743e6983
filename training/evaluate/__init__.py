"""How good are the heads: what a photo says is true, what an avatar makes of it, and the distance between the two.

    truth.py        a photo -> its head region, hair, person and face outline on a picture of 512 px
    teachers.py     the networks that say so: Google's hair segmenter and selfie segmenter
    photo.py        photo -> avatar -> photo view, compared with the truth
    clip.py         frame 0 -> avatar, which the other frames drive
    likeness.py     SSIM, LPIPS, distance of landmarks, identity (identity.py), features for FID (inception.py)
    mesh.py         needles, triangles inside out, hair through the face
    known_heads.py  pictures of heads whose hair is known; geometry.py measures against them in millimetres
    styles.py       avatars of such heads, style by style
    sheets.py       pages of people from all sides, to be judged by eye
    variants.py     tracker alone, hull, network
    painters.py     how they are drawn: as meshes, as Gaussians on them (splatter.py), or as the paper's peers draw
    summary.py      means, failures counted
    run.py          all of it for `meshlam evaluate`; report.py writes the page, paper.py has the paper's table

The measures themselves are in training/metrics.py and training/lpips.py. Nothing here is used at run time.
"""
