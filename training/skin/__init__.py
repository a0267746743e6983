"""The open skin model: what skin looks like without the light of a photo, learnt from public-domain portraits.

unwrap.py    portraits -> what each shows of the skin, on the texels of the open head
lights.py    environment maps -> lights as photos have them
delight.py   light and skin told apart over all portraits at once
texels.py    the basis and the fine detail on texels
tone.py      how pale skin is that a photo shows so, from drawn people: python -m training.skin.tone
build.py     all of it together: python -m training.skin.build
"""
