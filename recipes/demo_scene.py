"""Make the capture that ships with the package (`scenes/demo.py`): `make demo-scene`.

What only held-out views need, labels, is kept for them alone, and depths are left out, so that it stays small.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from lerf.scenes import demo
from lerf_scenes.write import Photography, write_scene

TARGET = Path(demo.__file__).parent / "demo_scene"


def main() -> None:
    with TemporaryDirectory() as folder:
        made = Path(folder) / "scene"
        annotation = write_scene(
            made, demo.SEED, demo.SETTING, Photography(demo.VIEWS, demo.HELD_OUT, spp=demo.SPP),
            report=lambda done, total: print(f"{done} of {total}", flush=True),
        )  # fmt: skip
        held_out = {Path(name).stem for name in json.loads((made / "transforms.json").read_text())["test_filenames"]}
        for path in (made / "labels").iterdir():
            if path.stem not in held_out:
                path.unlink()
        shutil.rmtree(made / "depth")
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(made, TARGET)
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    print(f"{TARGET}: {len(annotation.objects)} objects, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
