"""Builds `data/sample/`: a small LAION-style training set, simulated generations, and the truth about both.

What belongs here: which public-domain photographs are taken, how training rows and generations are made from
them, and what is written down as truth. What does not: judging any of it; nothing in the warehouse imports this
module or reads `truth/`. The photographs are those of Debian's `endless-sky-data`; a fixed seed makes every run
the same.

    python data/build_sample.py                    # downloads the package with apt-get
    python data/build_sample.py --source FOLDER    # an already extracted package (dpkg -x)
"""

import argparse
import csv
import fnmatch
import gzip
import hashlib
import io
import itertools
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

SAMPLE = Path(__file__).parent / "sample"
PACKAGE = "endless-sky-data"
DOC, IMAGES = Path("usr/share/doc") / PACKAGE, Path("usr/share/games/endless-sky/images")
SEED, SHARDS, LONG_SIDE, SINGLES = 20240229, 4, 320, 133


def pictures(names: str) -> list[str]:
    """Paths below `images/`, without suffix, of space-separated names; those without a folder are in `land/`."""
    return [name if "/" in name else f"land/{name}" for name in names.split()]


# Training pictures with more than one row, and how many rows each has.
LADDER = {"land/city11": 120} | dict.fromkeys(pictures("canyon1 station4"), 20)
LADDER |= dict.fromkeys(pictures("fog4 scene/loc6 lava1 mountain1"), 5)
LADDER |= dict.fromkeys(pictures("beach4 water8 nasa2 forest4 snow3 city4 space3 desert2 badlands3 scene/loc9"), 2)
# Pictures with one row that must be there: each has another photograph of the same or a like scene beside it …
KEPT = pictures("station1 canyon8 water5 water9 fields6 canyon02 canyon03 canyon04 space1 station3 sky4 fog2 dune2")
KEPT += pictures("dune4 badlands6 badlands1 city3 city8 nasa0 valley0 valley8 sea3 lava6 badlands7 city6")
KEPT += pictures("scene/loc2 scene/loc8")
KEPT += pictures("sky8 valley9 snow9 beach0 mountain8 hills2 snow10")  # … or is the source of a generation
# Never trained on; all but the last four are partners of training pictures.
HELD_OUT = pictures("scene/loc0 scene/loc7 water7 canyon9 canyon05 city10 city7 space4 lava4 sky0 forest2 dune5 sea7")
HELD_OUT += pictures("sky7 earthrise sky6 nasa7 beach2")
BACKGROUNDS = pictures("fields3 dune1 sea5 valley2 water1 beach1")
NOT_PHOTOGRAPHS = {"scene/tempest", "scene/lobby"}  # renderings

EXACT = pictures("lava1 sky8")
WHOLE = pictures("city11 city11 city11 city11 canyon1 canyon1 station4 station4 fog4 scene/loc6 lava1 mountain1")
WHOLE += pictures("beach4 water8 nasa2 forest4 station1 water5 valley9 fields6")
FLIPS = pictures("city11 station4 mountain1 snow3 city4 canyon8 snow9 beach0")
REGIONS = pictures("city11 canyon1 scene/loc6 space3 mountain8 water9")
COLLAGES = pictures("city11 station4 fog4 scene/loc9 hills2 snow10")

WORDS, FOLDERS, TOPS = ("cdn", "img", "static", "media"), ("photos", "blog", "shop"), ("com", "org", "net")
COPY_EDITS = ("identical", "recompressed", "identical", "resized", "identical", "cropped", "identical", "watermarked")
HOSTS = [f"{w}{n}.{f}.example.{t}" for w, n, f, t in itertools.product(WORDS, range(1, 10), FOLDERS, TOPS)]
PLACEHOLDERS = {"Image not available": (214, 232), "Photo coming soon": (250, 236)}  # text, grey at top and bottom
GENERIC = ("stock photo", "image", "Photo")  # captions that different pictures share
LEADS = ("", "beautiful photo of ", "panorama of ", "view of ", "a picture of ", "postcard: ", "travel blog – ", "HDR ")
TAILS = ["", " | Stock Photo", ", fine art print", " (2014)", " wallpaper 1920x1080", ' – "Bild des Tages"', " #4127"]
TAILS += [", photo by J. Moreau", " on canvas", " &amp; other free pictures", ", seen last summer", " [OC] [1600×800]"]
SUBJECTS = {
    "army": "solar panels under a night sky; a solar power plant",
    "badlands": "badlands at noon; eroded rock formations; a barren rocky landscape; the painted hills",
    "beach": "waves on a rocky beach; a lonely beach at low tide; the surf at sunset; sea stacks by the coast",
    "canyon": "a desert canyon; sandstone cliffs; a canyon viewpoint; red rocks and hoodoos",
    "city": "the city skyline; downtown skyscrapers at dawn; the skyline from across the river; an urban panorama",
    "desert": "a desert plain; dry desert hills; the desert at dusk; an arid landscape",
    "dune": "sand dunes; dunes below the mountains; a dune field under clouds",
    "earthrise": "Earth rising over the Moon; the blue planet above the lunar horizon",
    "engine": "a rocket engine test firing; an engine on the test stand",
    "fields": "rolling fields; farmland in the evening light; green meadows and hills; the countryside in autumn",
    "fog": "fog over the hills; misty highlands; a foggy morning; low clouds and fog",
    "forest": "a forest valley; wooded mountains; the pine forest in summer; evergreen slopes",
    "hills": "bare hills; snow patches on the hills; rolling brown hills; colorful hills",
    "lava": "a volcanic landscape; lava and steam; the volcano crater; a smoking volcano",
    "loc": "workers in a factory, 1942; mechanics on the assembly line; wartime industry, color transparency",
    "mountain": "a mountain range; alpine peaks; snowy summits; a mountain lake in the morning",
    "nasa": "a rocket on the launch pad; the launch complex at dusk; a night rocket launch; the space center",
    "nasa8": "swirling clouds of a gas giant; a planet seen from a space probe",
    "nasa9": "a blue gas giant; storms on a distant planet",
    "sea": "the sea at sunrise; ocean waves; the rugged coastline; a calm sea under clouds",
    "sky": "a dramatic sky; clouds at sunset; the evening sky over the mountains; a cloudy horizon",
    "snow": "a snowy landscape; the glacier in winter; snow-covered peaks; ice and snow",
    "space": "inside the space station; a spacecraft under construction; a spacecraft interior; a futuristic corridor",
    "station": "the rocket assembly hall; rocket stages in the factory; a space module; an underground station",
    "valley": "a mountain valley; the valley in spring; a green valley below the peaks; the valley floor",
    "water": "a quiet lake; the reservoir; wetlands and water; lake reflections under heavy clouds",
}

Picture = Image.Image
Random = np.random.Generator
Box = tuple[float, float, float, float]  # x, y, width, height as fractions
WHOLE_BOX: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Photo:
    """A public-domain photograph of the package and what the package's copyright file states about it."""

    path: Path
    statement: str


@dataclass(frozen=True)
class Row:
    """A training row: which picture it shows, how that was edited, and the bytes (none: the download failed)."""

    picture: str
    edit: str
    url: str
    caption: str
    data: bytes | None
    suffix: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Generation:
    """A simulated generation: `box` is the copied part of it, `source_box` the part of the training picture."""

    kind: str
    picture: str
    image: Picture | bytes
    box: Box | None = None
    source_box: Box | None = None


def public_domain(source: Path) -> dict[str, Photo]:
    """Photographs the copyright file calls public domain, by path below `images/` without suffix.

    The last `Files:` stanza that matches wins (Debian copyright format 1.0). Some globs catch more than their
    authors meant: `snow1*`, public domain, comes after `*-sfiera*`, CC-BY-SA, and matches `snow10-sfiera.jpg`. So a
    file is also left out if any stanza after its first public-domain one says otherwise.
    """
    stanzas = []
    for paragraph in re.split(r"\n\s*\n", (source / DOC / "copyright").read_text("utf-8")):
        found = dict(re.findall(r"^(Files|Copyright|License):\s*((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE))
        if {"Files", "License"} <= found.keys():
            stanzas.append((found["Files"].split(), found["License"], found.get("Copyright", "")))
    photos = {}
    for path in sorted((source / IMAGES).glob("land/*.jpg")) + sorted((source / IMAGES).glob("scene/*.jpg")):
        name = f"images/{path.relative_to(source / IMAGES)}"
        matching = [(text, by) for globs, text, by in stanzas if any(fnmatch.fnmatchcase(name, g) for g in globs)]
        free = [text.startswith("public-domain") for text, _ in matching]
        picture = name.removeprefix("images/").removesuffix(".jpg")
        if any(free) and all(free[free.index(True) :]) and picture not in NOT_PHOTOGRAPHS:
            text, by = matching[-1]
            photos[picture] = Photo(path, " ".join(f"{by}: {text}".split()))
    return photos


class Captions:
    """Alt texts by category, never the same for two rows."""

    def __init__(self, rng: Random) -> None:
        self._rng, self._taken = rng, set[str]()

    def take(self, picture: str) -> str:
        """Return a caption nobody has yet that fits the category in the picture's name."""
        name = picture.split("/")[1]
        subjects = SUBJECTS[max((key for key in SUBJECTS if name.startswith(key)), key=len)].split("; ")
        while True:
            text = "".join(str(self._rng.choice(parts)) for parts in (LEADS, subjects, TAILS))
            text = text[0].upper() + text[1:]
            if text not in self._taken:
                self._taken.add(text)
                return text


def opened(data: bytes) -> Picture:
    """Decode to RGB."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def resized(image: Picture, long_side: int) -> Picture:
    """Scale so that the longer side has `long_side` pixels."""
    scale = long_side / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def encode(image: Picture, suffix: str, quality: int) -> bytes:
    """Encode as `jpg`, `webp` or `png` (which ignores the quality)."""
    stream = io.BytesIO()
    image.save(stream, {"jpg": "JPEG", "webp": "WEBP", "png": "PNG"}[suffix], quality=quality)
    return stream.getvalue()


def crop(image: Picture, box: Box) -> Picture:
    """Cut out a box given in fractions."""
    x, y, width, height = box
    left, top = round(x * image.width), round(y * image.height)
    return image.crop((left, top, round((x + width) * image.width), round((y + height) * image.height)))


def random_box(rng: Random, smallest: float, largest: float) -> Box:
    """Choose a box whose two sides are each between `smallest` and `largest` of the picture's."""
    width, height = rng.uniform(smallest, largest, 2)
    return (rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height)


def watermarked(image: Picture, rng: Random) -> Picture:
    """Write half-transparent text across the middle or into the lower right corner."""
    layer = Image.new("RGBA", image.size)
    across, text = rng.random() < 0.5, str(rng.choice(["example photos", "SAMPLE", "© example.org"]))
    font = ImageFont.load_default(image.width // (9 if across else 18))
    place, anchor = ((0.5, 0.5), "mm") if across else ((0.98, 0.97), "rd")
    at = (place[0] * image.width, place[1] * image.height)
    ImageDraw.Draw(layer).text(at, text, (255, 255, 255, 110 if across else 170), font, anchor)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def edited(base: bytes, edit: str, rng: Random) -> tuple[bytes, str]:
    """One training copy of a picture: its bytes and its file suffix."""
    image = opened(base)
    match edit:
        case "original" | "identical":
            return base, "jpg"
        case "png" | "webp":
            return encode(image, edit, 90), edit
        case "recompressed":
            return encode(image, "jpg", int(rng.integers(40, 86))), "jpg"
        case "resized":
            image = resized(image, round(LONG_SIDE * rng.uniform(0.6, 0.9)))
        case "cropped":
            image = crop(image, random_box(rng, 0.85, 0.95))
        case "watermarked":
            image = watermarked(image, rng)
        case _:
            raise ValueError(f"no training copy is made by the edit {edit!r}")
    return encode(image, "jpg", 80), "jpg"


def placeholder(text: str, shades: tuple[int, int]) -> bytes:
    """Draw a nearly uniform picture as servers send for a missing one; its PDQ quality is far below 50."""
    image = Image.linear_gradient("L").resize((LONG_SIDE, LONG_SIDE // 2))
    image = image.point([round(np.interp(value, (0, 255), shades)) for value in range(256)]).convert("RGB")
    ImageDraw.Draw(image).text((160, 80), text, (shades[1] - 20,) * 3, ImageFont.load_default(9), "mm")
    return encode(image, "jpg", 80)


def training_rows(bases: dict[str, bytes], captions: Captions, rng: Random) -> list[Row]:
    """Every training row, shuffled: the ladder of copies, the single pictures, and rows that went wrong."""

    def row(picture: str, edit: str, host: str, data: bytes | None, suffix: str = "jpg", caption: str = "") -> Row:
        year, code = rng.integers(2009, 2022), rng.integers(16**8)
        url = f"https://{host}/{year}/{picture.split('/')[0]}-{code:08x}.{suffix}"
        size = opened(data).size if data and edit != "truncated" else (LONG_SIDE, LONG_SIDE // 2)
        return Row(picture, edit, url, caption or captions.take(picture), data, suffix, size)

    others = [name for name in bases if name not in {*LADDER, *KEPT, *HELD_OUT, *BACKGROUNDS}]
    others = [*KEPT, *(str(name) for name in rng.permutation(others))]
    singles, spoiled = others[:SINGLES], others[SINGLES : SINGLES + 7]
    cycle = itertools.cycle(COPY_EDITS)
    rows = []
    for picture, copies in LADDER.items():
        edits = ["original", *itertools.islice(cycle, copies - 1)]
        if copies == 20:
            edits[5] = "png" if picture == "land/canyon1" else "webp"
        for edit, host in zip(edits, rng.choice(HOSTS, copies, replace=False), strict=True):
            rows.append(row(picture, edit, host, *edited(bases[picture], edit, rng)))
    for number, picture in enumerate(singles):
        generic = GENERIC[number % len(GENERIC)] if number % 20 == 7 else ""
        rows.append(row(picture, "original", str(rng.choice(HOSTS)), bases[picture], caption=generic))
    rows += [row(picture, "missing", str(rng.choice(HOSTS)), None) for picture in spoiled[:5]]
    rows.append(row(spoiled[5], "truncated", str(rng.choice(HOSTS)), bases[spoiled[5]][:3000]))
    rows.append(row(spoiled[6], "empty", str(rng.choice(HOSTS)), b""))
    for number, (text, shades) in enumerate(PLACEHOLDERS.items()):
        data = placeholder(text, shades)
        rows.append(row(f"placeholder/{number}", "placeholder", str(rng.choice(HOSTS)), data, caption=text))
    return [rows[position] for position in rng.permutation(len(rows))]


def write_shard(folder: Path, shard: int, rows: list[Row], rng: Random) -> None:
    """Write `NNNNN.parquet` in the columns of LAION-2B-en and `NNNNN.tar` as img2dataset does."""
    originals = [tuple(round(side * 2.25) for side in row.size) for row in rows]
    marked = [row.edit == "watermarked" for row in rows]
    licenses = rng.choice(np.array(["?", "cc0-1.0", "pd", None], object), len(rows), p=[0.88, 0.04, 0.04, 0.04])
    columns = {
        "SAMPLE_ID": pa.array(rng.integers(10**9, 5 * 10**12, len(rows))),
        "URL": [row.url for row in rows],
        "TEXT": [row.caption for row in rows],
        "HEIGHT": pa.array([height for _, height in originals], pa.int32()),
        "WIDTH": pa.array([width for width, _ in originals], pa.int32()),
        "LICENSE": pa.array(licenses.tolist(), pa.string()),
        "NSFW": rng.choice(["UNLIKELY", "UNSURE"], len(rows), p=[0.97, 0.03]).tolist(),
        "similarity": rng.uniform(0.28, 0.42, len(rows)),
        "punsafe": rng.beta(1, 400, len(rows)).astype(np.float32),
        "pwatermark": np.where(marked, rng.uniform(0.8, 1, len(rows)), rng.beta(1, 12, len(rows))).astype(np.float32),
        "LANGUAGE": ["en"] * len(rows),
        "hash": rng.integers(-(2**63), 2**63, len(rows), dtype=np.int64),
    }
    pq.write_table(pa.table(columns), folder / f"{shard:05d}.parquet")
    with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (row, original) in enumerate(zip(rows, originals, strict=True)):
            if row.data is None:
                continue
            key = f"{shard:05d}{number:04d}"
            about: dict[str, object] = {"url": row.url, "caption": row.caption, "key": key, "status": "success"}
            about |= {"error_message": None, "exif": "{}", "width": row.size[0], "height": row.size[1]}
            about |= {"original_width": original[0], "original_height": original[1]}
            about |= {"sha256": hashlib.sha256(row.data).hexdigest()}
            members = {row.suffix: row.data, "json": json.dumps(about).encode(), "txt": row.caption.encode()}
            for suffix, data in members.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")  # mtime, uid and gid are 0
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def degraded(image: Picture, rng: Random, sigma: tuple[float, float]) -> Picture:
    """Add what a model adds to a picture it remembers: blur, shifted colours and contrast, Gaussian noise (of 255)."""
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.85, 1.15))
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.8, 1.2))
    values = np.asarray(image, np.float64) * rng.uniform(0.95, 1.05, 3)
    values += rng.normal(0, rng.uniform(*sigma), values.shape)
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))


def generations(bases: dict[str, bytes], rng: Random) -> list[Generation]:
    """Sixty generations of every kind, in the order of the kinds."""

    def canvas(picture: str) -> Picture:
        return resized(opened(bases[picture]), int(rng.choice([320, 384, 416])))

    made = [Generation("exact", picture, bases[picture], WHOLE_BOX, WHOLE_BOX) for picture in EXACT]
    for picture in WHOLE:
        made.append(Generation("whole", picture, degraded(canvas(picture), rng, (5, 15)), WHOLE_BOX, WHOLE_BOX))
    for picture in FLIPS:
        image = ImageOps.mirror(degraded(canvas(picture), rng, (2, 5)))
        made.append(Generation("flip", picture, image, WHOLE_BOX, WHOLE_BOX))
    for picture in REGIONS:
        box = random_box(rng, 0.65, 0.8)  # 42 to 64% of the area
        image = resized(crop(opened(bases[picture]), box), 384)
        made.append(Generation("region", picture, degraded(image, rng, (2, 6)), WHOLE_BOX, box))
    for picture, background in zip(COLLAGES, BACKGROUNDS, strict=True):
        image, side = canvas(background), rng.uniform(0.7, 0.9)
        source_box = (rng.uniform(0, 1 - side), rng.uniform(0, 1 - side), side, side)
        part = crop(opened(bases[picture]), source_box)
        scale = np.sqrt(rng.uniform(0.37, 0.5) * image.width * image.height / (part.width * part.height))
        part = part.resize((round(part.width * scale), round(part.height * scale)), Image.Resampling.LANCZOS)
        left, top = (int(rng.integers(image.size[axis] - part.size[axis] + 1)) for axis in (0, 1))
        image.paste(part, (left, top))
        box = (left / image.width, top / image.height, part.width / image.width, part.height / image.height)
        made.append(Generation("collage", picture, degraded(image, rng, (2, 6)), box, source_box))
    return made + [Generation("novel", name, degraded(canvas(name), rng, (2, 10))) for name in HELD_OUT]


def write_generations(bases: dict[str, bytes], rows: list[Row], captions: Captions, rng: Random) -> None:
    """Write the shuffled generations, their prompts, and apart from them the truth."""
    made, lines, truth = generations(bases, rng), [], []
    for number, position in enumerate(rng.permutation(len(made))):
        one = made[position]
        shown = [row.caption for row in rows if row.picture == one.picture]
        suffix = str(rng.choice(["jpg", "webp", "png"], p=[0.62, 0.35, 0.03]))
        if isinstance(one.image, bytes):
            suffix, data = "jpg", one.image
        else:
            data = encode(one.image, suffix, int(rng.integers(85, 94)))
        name = f"{number:04d}.{suffix}"
        (SAMPLE / "generations" / name).write_bytes(data)
        prompt = str(rng.choice(shown)) if shown and rng.random() < 0.85 else captions.take(one.picture)
        lines.append({"file_name": name, "model": "simulated", "prompt": prompt, "seed": int(rng.integers(2**32))})
        boxes = [f"{side:.4f}" for side in (*one.box, *one.source_box)] if one.box and one.source_box else [""] * 8
        picture = one.picture if one.box else ""
        truth.append([name, one.kind, picture, *boxes[:4], len(shown) if one.box else 0, *boxes[4:]])
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (SAMPLE / "generations" / "generations.jsonl").write_text(text, "utf-8")
    header = "file_name kind picture x y width height copies source_x source_y source_width source_height"
    write_csv("generations.csv", header.split(), truth)


def write_csv(name: str, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a file of `truth/`."""
    with (SAMPLE / "truth" / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_attribution(source: Path, photos: dict[str, Photo], used: dict[str, str]) -> None:
    """Write the table of source files, what the copyright file states about each, and what it became."""
    with gzip.open(source / DOC / "changelog.Debian.gz", "rt", encoding="utf-8") as changelog:
        version = re.search(r"\((.+?)\)", changelog.readline())
    head = f"""# Where the pictures come from

All photographs are public domain and come from Debian's `{PACKAGE}` {version[1] if version else "(unknown version)"},
scaled down to {LONG_SIDE} pixels by `data/build_sample.py`. The files of `generations/` are simulated: no model made
them, they are degraded, cropped, pasted or flipped versions of these photographs. URLs, captions and the other
metadata are invented. Two placeholders ("{'", "'.join(PLACEHOLDERS)}") were drawn by the script.
"training (missing)" is a row whose download failed: nothing of that file is here. The third column quotes the package's
`{DOC / "copyright"}`.

| file | used as | the copyright file states |
| --- | --- | --- |
"""
    lines = []
    for picture, use in sorted(used.items()):
        lines.append(f"| `{IMAGES / picture}.jpg` | {use} | {photos[picture].statement} |")
    (SAMPLE / "ATTRIBUTION.md").write_text(head + "\n".join(lines) + "\n", "utf-8")


def build(source: Path) -> None:
    """Replace `data/sample/` by one made from the package extracted in `source`.

    Raises ValueError if the package lacks a picture that has a part in the plan above.
    """
    photos = public_domain(source)
    planned = {*LADDER, *KEPT, *HELD_OUT, *BACKGROUNDS}
    if absent := sorted(planned - photos.keys()):
        raise ValueError(f"{source} has no public-domain {', '.join(absent)}; use {PACKAGE} 0.9.8 or change the plan")
    # The bytes each picture was first published as; every copy and generation starts from them.
    originals = {picture: opened(photo.path.read_bytes()) for picture, photo in photos.items()}
    bases = {picture: encode(resized(image, LONG_SIDE), "jpg", 80) for picture, image in originals.items()}
    for folder in ("laion", "generations", "truth"):
        shutil.rmtree(SAMPLE / folder, ignore_errors=True)
        (SAMPLE / folder).mkdir(parents=True)
    rng = np.random.default_rng(SEED)
    captions = Captions(rng)
    rows, truth = training_rows(bases, captions, rng), []
    for shard, positions in enumerate(np.array_split(np.arange(len(rows)), SHARDS)):
        members = [rows[position] for position in positions]
        write_shard(SAMPLE / "laion", shard, members, rng)
        truth += [[f"{shard:05d}", number, row.url, row.picture, row.edit] for number, row in enumerate(members)]
    write_csv("training.csv", ["shard", "row_number", "url", "picture", "edit"], truth)
    write_generations(bases, rows, captions, rng)
    used = {row.picture: f"training ({row.edit})" if row.data is None else "training" for row in rows}
    used |= dict.fromkeys([*HELD_OUT, *BACKGROUNDS], "held-out")
    write_attribution(source, photos, {picture: use for picture, use in used.items() if picture in photos})


def main() -> None:
    """Build the sample from `--source`, or from the package as apt-get downloads it."""
    parser = argparse.ArgumentParser(description="Build data/sample from public-domain photographs.")
    parser.add_argument("--source", type=Path, help=f"folder with an extracted {PACKAGE} (default: download it)")
    source = parser.parse_args().source
    if source is not None:
        return build(source)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
        subprocess.run(["dpkg", "-x", str(next(Path(folder).glob("*.deb"))), folder], check=True)
        build(Path(folder))


if __name__ == "__main__":
    main()
