"""The table of the MeshLAM paper (arXiv 2604.22865) for what we call clips, and what differs from our protocol."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """One method in the paper's table."""

    method: str
    representation: str
    psnr: float  # dB
    ssim: float
    lpips: float
    akd: float  # px
    csim: float
    fid: float


PAPER = (
    PaperRow("ROME + UNet", "mesh", 22.850, 0.874, 0.098, 4.98, 0.681, 42.542),
    PaperRow("MeshLAM, no UNet", "mesh", 23.180, 0.859, 0.073, 3.58, 0.935, 23.688),
    PaperRow("MeshLAM + UNet", "mesh", 25.233, 0.879, 0.061, 3.24, 0.948, 22.699),
    PaperRow("LAM on FLAME", "Gaussians, 80K", 25.082, 0.879, 0.077, 2.07, 0.879, 24.270),
    PaperRow("LAM on the MeshLAM mesh", "Gaussians", 25.889, 0.893, 0.050, 2.02, 0.898, 22.576),
)

DIFFERENCES = (
    "Data: the paper measures on the test clips of VFHQ; these are other clips, so no number may be subtracted.",
    "Region: the paper says head region; here it is Google's hair mask joined with the face outline of the real frame, "
    "which leaves the bare forehead between them, ears and neck out.",
    "Uncovered pixels: here they are black inside the region and count in full; how the paper treats them is not said.",
    "PSNR and SSIM: here over the region's pixels; SSIM of the whole window, everything beyond the region grey, is "
    "given too, because the paper's numbers look like that.",
    "LPIPS: AlexNet on the window with everything beyond the region grey; which network the paper uses is not said.",
    "AKD: 68 points of MediaPipe's 478, in pixels of the head window at 512 px; the paper's detector and crop differ.",
    "CSIM: dlib's descriptors, whose cosines are high even for strangers (about 0.9); the paper uses another network.",
    "Peers: rome, lam and lam_on_mesh are made of our parts (training/peers.py), begin with our hull fit and were "
    "trained as the table of budgets says: no fair trial of the originals. Gaussians on a mesh are fitted to nothing.",
    "Frames: every N-th but the first; the paper takes all. Every clip counts the same, however long it is.",
)
