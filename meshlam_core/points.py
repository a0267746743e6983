"""What the numbers of MediaPipe's 478 face landmarks mean.

0..467 lie on the skin, 468..472 are the subject's right iris (centre, then four points around it), 473..477 the left.
Left and right are the subject's; the subject's left is on the right of an unmirrored picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]

COUNT = 478
FOREHEAD, CHIN, NOSE_TIP = 10, 152, 1
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
RIGHT_SIDE, LEFT_SIDE = 234, 454  # the face's outline before the ears
RIGHT_IRIS, LEFT_IRIS = 468, 473

# Left-right counterparts, from the canonical face of the model file, which is exactly symmetric.
_PAIRS = """
3 248, 7 249, 20 250, 21 251, 22 252, 23 253, 24 254, 25 255, 26 256, 27 257, 28 258, 29 259, 30 260, 31 261,
32 262, 33 263, 34 264, 35 265, 36 266, 37 267, 38 268, 39 269, 40 270, 41 271, 42 272, 43 273, 44 274, 45 275,
46 276, 47 277, 48 278, 49 279, 50 280, 51 281, 52 282, 53 283, 54 284, 55 285, 56 286, 57 287, 58 288, 59 289,
60 290, 61 291, 62 292, 63 293, 64 294, 65 295, 66 296, 67 297, 68 298, 69 299, 70 300, 71 301, 72 302, 73 303,
74 304, 75 305, 76 306, 77 307, 78 308, 79 309, 80 310, 81 311, 82 312, 83 313, 84 314, 85 315, 86 316, 87 317,
88 318, 89 319, 90 320, 91 321, 92 322, 93 323, 95 324, 96 325, 97 326, 98 327, 99 328, 100 329, 101 330,
102 331, 103 332, 104 333, 105 334, 106 335, 107 336, 108 337, 109 338, 110 339, 111 340, 112 341, 113 342,
114 343, 115 344, 116 345, 117 346, 118 347, 119 348, 120 349, 121 350, 122 351, 123 352, 124 353, 125 354,
126 355, 127 356, 128 357, 129 358, 130 359, 131 360, 132 361, 133 362, 134 363, 135 364, 136 365, 137 366,
138 367, 139 368, 140 369, 141 370, 142 371, 143 372, 144 373, 145 374, 146 375, 147 376, 148 377, 149 378,
150 379, 153 380, 154 381, 155 382, 156 383, 157 384, 158 385, 159 386, 160 387, 161 388, 162 389, 163 390,
165 391, 166 392, 167 393, 169 394, 170 395, 171 396, 172 397, 173 398, 174 399, 176 400, 177 401, 178 402,
179 403, 180 404, 181 405, 182 406, 183 407, 184 408, 185 409, 186 410, 187 411, 188 412, 189 413, 190 414,
191 415, 192 416, 193 417, 194 418, 196 419, 198 420, 201 421, 202 422, 203 423, 204 424, 205 425, 206 426,
207 427, 208 428, 209 429, 210 430, 211 431, 212 432, 213 433, 214 434, 215 435, 216 436, 217 437, 218 438,
219 439, 220 440, 221 441, 222 442, 223 443, 224 444, 225 445, 226 446, 227 447, 228 448, 229 449, 230 450,
231 451, 232 452, 233 453, 234 454, 235 455, 236 456, 237 457, 238 458, 239 459, 240 460, 241 461, 242 462,
243 463, 244 464, 245 465, 246 466, 247 467, 468 473, 469 476, 470 475, 471 474, 472 477
"""


def _mirror() -> Indices:
    mirror = np.arange(COUNT)
    for pair in _PAIRS.split(","):
        right, left = map(int, pair.split())
        mirror[right], mirror[left] = left, right
    return mirror


MIRROR: Indices = _mirror()  # [478] the landmark that takes this one's place in the mirrored picture


def _indices(text: str) -> Indices:
    return np.array(text.split(), dtype=np.intp)


# Around the face from the forehead over the subject's left cheek, the chin and the right cheek.
OVAL: Indices = _indices(
    "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 "
    "152 148 176 149 150 136 172 58 132 93 234 127 162 21 54 103 67 109"
)
# Each eye's opening: corner, lower lid, corner, upper lid.
RIGHT_EYE: Indices = _indices("33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246")
LEFT_EYE: Indices = MIRROR[RIGHT_EYE]
LIPS_OUTER: Indices = _indices("61 146 91 181 84 17 314 405 321 375 291 409 270 269 267 0 37 39 40 185")
LIPS_INNER: Indices = _indices("78 95 88 178 87 14 317 402 318 324 308 415 310 311 312 13 82 81 80 191")
# The lower lip's inner edge from right to left, and the outer points below each.
LOWER_INNER_LIP: Indices = _indices("95 88 178 87 14 317 402 318 324")
LOWER_OUTER_LIP: Indices = _indices("146 91 181 84 17 314 405 321 375")
IRISES: Indices = np.arange(468, COUNT)

# The 68 points of the 300-W annotation (jaw, brows, nose, eyes, mouth) as the nearest of the 478.
CLASSIC_68: Indices = _indices(
    "234 93 132 58 172 136 150 176 152 400 379 365 397 288 361 323 454 "
    "70 63 105 66 107 336 296 334 293 300 168 197 5 4 98 97 2 326 327 "
    "33 160 158 133 153 144 362 385 387 263 373 380 "
    "61 40 37 0 267 270 291 321 314 17 84 91 78 81 13 311 308 402 14 178"
)

# The points from which the model file's third network reads the expression, in its order.
# (MediaPipe, face_blendshapes_graph.cc, Apache-2.0.)
BLENDSHAPE_INPUTS: Indices = _indices(
    """
    0 1 4 5 6 7 8 10 13 14 17 21 33 37 39 40 46 52 53 54 55 58 61 63 65 66 67 70 78 80
    81 82 84 87 88 91 93 95 103 105 107 109 127 132 133 136 144 145 146 148 149 150 152 153
    154 155 157 158 159 160 161 162 163 168 172 173 176 178 181 185 191 195 197 234 246 249
    251 263 267 269 270 276 282 283 284 285 288 291 293 295 296 297 300 308 310 311 312 314
    317 318 321 323 324 332 334 336 338 356 361 362 365 373 374 375 377 378 379 380 381 382
    384 385 386 387 388 389 390 397 398 400 402 405 409 415 454 466 468 469 470 471 472 473
    474 475 476 477
    """
)
