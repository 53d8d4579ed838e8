"""Decoding pictures from the open web into one shape: RGB, 8 bit, upright, the first frame.

What belongs here: bytes in, pixels or a plain-worded reason out; what a file may show, and by what two files are equal.
What does not: hashing, embedding, reading files.
"""

from transforms.pictures.bounds import Bounds, DecodeError
from transforms.pictures.confined.answers import OutOfMemoryError
from transforms.pictures.confined.process import OutOfPatience
from transforms.pictures.confined.requests import decode, everything, look, make, read_rights, renderings, start
from transforms.pictures.confined.works import DecoderWork, Made
from transforms.pictures.formats import FORMATS, HEAD, PICTURE_ENDINGS, begins_as_picture
from transforms.pictures.renderings import Look, Pixels, Renderings, may_show_more
from transforms.pictures.rights.statements import RightsStatement

__all__ = [
    "FORMATS",
    "HEAD",
    "PICTURE_ENDINGS",
    "Bounds",
    "DecodeError",
    "DecoderWork",
    "Look",
    "Made",
    "OutOfMemoryError",
    "OutOfPatience",
    "Pixels",
    "Renderings",
    "RightsStatement",
    "begins_as_picture",
    "decode",
    "everything",
    "look",
    "make",
    "may_show_more",
    "read_rights",
    "renderings",
    "start",
]
