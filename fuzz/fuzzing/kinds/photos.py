"""Photos and masks in many forms: their bytes, their sizes and depths, what stands in their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from fuzzing.kinds.scene_checks import read_and_check
from fuzzing.kinds.spoiling import data, one_of
from fuzzing.oracle import Case, Kind

PHOTOS = (
    "rgb.png", "alpha.png", "palette.png", "grey16.png", "turned.jpg", "grey.jpg", "tiled.tif", "small.webp", "few.gif",
    "plain.bmp", "wide.ppm", "deep.tif", "phone.heic", "phone.avif",
)  # fmt: skip
"""Files of the capture; each is written by its own branch of `make`."""
NAMES = (
    "a b.png", " .png", "-n.png", "--help.png", "'\"$(x)`.png", "\x1b[31mred.png", "\x1b]0;title\x07.png",
    "line\nbreak.png", "\u202egnp.png", "\u2028.png", "\udcff.png", "e\u0301.png", "\u00e9.png", "\U0001f98a.png",
    "[red]a[/red].png", "a" * 250 + ".png", "%s.png", "{0}.png", "no suffix", ".png", "..png", "a.PNG", "a.png.jpg",
    "CON.png", "a\\b.png", "*.png", "~.png",
)  # fmt: skip
"""Names that a file may have."""
RIGHT = (12, 8)
SIZES = (*[RIGHT] * 6, (1, 1), (8, 12), (11, 7), (24, 16), (120, 80), (4000, 3))
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "I", "YCbCr", "LAB", "HSV")


def kinds() -> dict[str, Kind]:
    """By name."""
    files = [f"images/{name}" for name in PHOTOS]
    return {
        "photos": Kind("photos", _either(one_of(files, data), "images", PHOTOS), read_and_check, weight=3),
        "photo-names": Kind("transforms", _other_name, read_and_check),
        "masks": Kind(
            "photos", _either(one_of(["masks/mask.png"], data), "masks", ("mask.png",)), read_and_check, weight=2
        ),
    }


def _other_name(case: Case) -> str:
    """A photo or mask under an odd name, which the capture names rightly or nearly."""
    listed = case.input / "transforms.json"
    document = json.loads(listed.read_text())
    entry = "mask_path" if case.random.random() < 0.2 else "file_path"
    frame = document["frames"][1]
    name = case.random.choice(NAMES)
    place = f"images/{name}"
    (case.input / place).parent.mkdir(parents=True, exist_ok=True)
    (case.input / frame[entry]).rename(case.input / place)
    frame[entry] = place if case.random.random() < 0.7 else place[:-1]
    document["test_filenames"], document["train_filenames"] = [], []
    listed.write_text(json.dumps(document))
    return f"{entry} {name!r}"


def _either(spoil: Callable[[Case], str], folder: str, names: Sequence[str]) -> Callable[[Case], str]:
    """Bytes of a file, or a whole picture of another size, mode or kind under its name."""

    def chosen(case: Case) -> str:
        if case.random.random() < 0.6:
            return spoil(case)
        return _other_picture(case, case.input / folder / case.random.choice(names))

    return chosen


def _other_picture(case: Case, path: Path) -> str:
    import numpy as np
    from PIL import Image

    size, mode = case.random.choice(SIZES), case.random.choice(MODES)
    form = case.random.choice(("PNG", "PNG", "PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "ICO", "PPM"))
    fill = case.random.choice((0, 1, 2, 127, 255, 4095, 65535))
    image = Image.fromarray(np.full((size[1], size[0]), min(fill, 255), np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.full((size[1], size[0]), fill, np.uint16))
    elif mode in ("LAB", "HSV", "YCbCr", "CMYK"):
        image = image.convert("RGB") if mode == "LAB" else image.convert("RGB").convert(mode)
    else:
        image = image.convert(mode)
    path.unlink()
    try:
        image.save(path, format=form)
    except (OSError, ValueError):  # a kind of file that cannot hold this mode
        image.convert("RGB").save(path, format="PNG")
    return f"{path.name}: {form} {mode} {size} of {fill}"


def make(folder: Path) -> None:
    """A capture with a photo of each form, and one mask."""
    import numpy as np
    from PIL import Image
    from scene_files import picture, save, transforms, write_deep_tiff, write_transforms

    root = folder / "photos"
    document = transforms(len(PHOTOS))
    for number, name in enumerate(PHOTOS):
        path = root / "images" / name
        pixels = picture(12, 8, number, channels=4 if name.startswith("alpha") else 3)
        if name.startswith("grey16"):
            pixels = pixels[..., 0].astype(np.uint16) * 257
        elif name.startswith("grey"):
            pixels = pixels[..., 0]
        elif name.startswith("palette"):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).quantize(8).save(path, transparency=0)
        elif name.startswith("deep"):
            write_deep_tiff(path, pixels.astype(np.uint16) * 257)
        elif name.startswith("phone") and not _writes(path.suffix):
            save(path, pixels, format="PNG")
        if not name.startswith(("palette", "deep")) and not path.exists():
            save(path, pixels, orientation=6 if name.startswith("turned") else None)
        document["frames"][number]["file_path"] = f"images/{name}"
    document["frames"][0]["mask_path"] = "masks/mask.png"
    mask = np.zeros((8, 12), np.uint8)
    mask[2:, 3:] = 255
    save(root / "masks/mask.png", mask)
    write_transforms(root, document)


def _writes(suffix: str) -> bool:
    """Whether photos as phones make them can be written here; otherwise a PNG stands under their name."""
    from scene_files import reads_avif

    if suffix == ".avif":
        return reads_avif()
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
