"""Stages T and R: the whole network on pictures, with the paper's losses (METHOD.md 6).

views.py    a drawn head seen from elsewhere: the targets
draw.py     drawn heads as samples of the network
ahead.py    samples made in processes of their own, ahead of the step that wants them
portraits.py  real photographs as samples
real.py     what is asked of those
held_out.py what the trained network is measured by
"""
