"""The guard: decides whether a generated image may be shown.

What belongs here: the bundle, searching it for a picture, the verdict. What does not: exporting a bundle
(`orchestration/guard/export.py`), commands (`orchestration/cli/guard/`), the service (`orchestration/guard/service/`).
"""

from transforms.guard.bundle import Bundle, BundleError
from transforms.guard.check import Guard, Looks
from transforms.guard.held_files import BundleChanged
from transforms.guard.overrides import OverrideError
from transforms.guard.signature import KeyUnusable
from transforms.guard.verdict import Evidence, Policy, Searched, Source, Verdict

__all__ = (
    "Bundle",
    "BundleChanged",
    "BundleError",
    "Evidence",
    "Guard",
    "KeyUnusable",
    "Looks",
    "OverrideError",
    "Policy",
    "Searched",
    "Source",
    "Verdict",
)
