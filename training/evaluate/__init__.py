"""How good are the heads: what a photo says is true, what an avatar makes of it, and the distance between the two.

    truth.py    a photo -> its head region, hair, person and face outline on a picture of 512 px
    teachers.py the networks that say so: Google's hair segmenter and selfie segmenter
    photo.py    photo -> avatar -> photo view, compared with the truth
    sheets.py   pages of people from all sides, to be judged by eye

The measures themselves are in training/metrics.py. Nothing here is used in training or at run time.
"""
