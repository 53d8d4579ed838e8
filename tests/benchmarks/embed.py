"""Embedding pictures: how much of the bare encoder's speed the pipeline keeps."""

from itertools import batched

from tests.benchmarks.data import RULES, decoded, originals
from tests.benchmarks.figures import Figure, Measured, NotMeasured, fastest, not_measured
from transforms import encoders
from transforms.encoders import squares
from transforms.fingerprints import Pace, ahead, embed_distinct, fingerprint

_COUNT, _BATCH, _WORKERS = 64, 16, 2


def _sscd() -> Measured:
    try:
        encoder = encoders.OnnxSscd("sscd")
    except encoders.EncoderUnavailable as error:
        raise NotMeasured(str(error)) from None
    session, name = encoder._session, encoder._input
    files = list(originals().values())[:_COUNT]
    prints, pictures = decoded(_COUNT)
    ready = [squares(batch) for batch in batched(pictures, _BATCH)]

    def whole() -> None:
        done = ahead(lambda data: fingerprint(data, RULES), files, Pace(_BATCH, _WORKERS))
        for batch in batched(done, _BATCH):
            embed_distinct(encoder, [p for p, _ in batch], [picture for _, picture in batch if picture is not None])

    def from_pixels() -> None:
        for these, pixels in zip(batched(prints, _BATCH), batched(pictures, _BATCH), strict=True):
            embed_distinct(encoder, list(these), list(pixels))

    def bare() -> None:
        for batch in ready:
            session.run(None, {name: batch})

    session.run(None, {name: ready[0]})
    best = fastest({"pipeline": whole, "from pixels": from_pixels, "bare session": bare}, rounds=3)
    return Measured(
        best["bare session"] / best["pipeline"],
        {
            "from_decoded_pixels": best["bare session"] / best["from pixels"],
            "bare_images_per_s": len(files) / best["bare session"],
        },
    )


FIGURES = (
    Figure(
        "embed_efficiency_sscd",
        "ratio",
        ">= 0.95",
        f"ONNX Runtime's session alone on {_COUNT} prepared pictures, batches of {_BATCH}; ours decodes and hashes too",
        _sscd,
    ),
    Figure(
        "embed_efficiency_clip",
        "ratio",
        ">= 0.95",
        "open_clip's model alone on prepared pictures",
        not_measured("there is no open_clip encoder yet"),
    ),
)
