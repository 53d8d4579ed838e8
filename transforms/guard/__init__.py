"""The guard, which says whether a generated image may leave the building.

What belongs here: the bundle that it ships with, looking a picture up in it, and the verdict. What does not: making a
bundle of a warehouse (`orchestration/guard/export.py`), the command and the service.
"""

from transforms.guard.bundle import Bundle, BundleError
from transforms.guard.check import Guard
from transforms.guard.held_files import BundleChanged
from transforms.guard.overrides import OverrideError
from transforms.guard.verdict import Evidence, Policy, Searched, Source, Verdict

__all__ = (
    "Bundle",
    "BundleChanged",
    "BundleError",
    "Evidence",
    "Guard",
    "OverrideError",
    "Policy",
    "Searched",
    "Source",
    "Verdict",
)
