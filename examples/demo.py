"""A first run without a capture at hand: draw a small scene, train on it, measure it, ask it.

`make demo` runs this. The scene is drawn, while the encoder `conse` is made for photographs: the pictures and numbers
show the way from photos to answers, not how good answers on photographs are.

    python examples/demo.py [--output runs/demo] [--steps 300]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

import lerf
from lerf.apps.pictures import depth_picture, normalised_picture, write_png, write_row
from lerf.apps.progress import TerminalReporter
from lerf.errors import LerfError
from lerf.evaluation.colour import evaluate_colour
from lerf.scenes.generated import write_generated_scene

PHRASES = ("ball", "box", "floor", "airplane")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a scene, train on it and ask it; about a minute on two cores.")
    parser.add_argument("--output", type=Path, default=Path("runs/demo"), help="folder for the scene, run and pictures")
    parser.add_argument("--steps", type=int, default=300, help="steps of each stage")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    capture, run, pictures = (arguments.output / name for name in ("capture", "run", "pictures"))

    scene = write_generated_scene(capture, views=24, width=160, height=120)
    console.print(f"Drew {', '.join(solid.name for solid in scene.solids)} in {capture}.")
    model = lerf.train(
        capture, run, preset="lerf-cpu", steps=arguments.steps, offline=True, reporter=TerminalReporter(console)
    )

    colour = Table("held-out photo", "PSNR dB", "SSIM")
    for view in evaluate_colour(model)["views"]:
        colour.add_row(view["photo"], f"{view['psnr']:.2f}", f"{view['ssim']:.3f}")
    console.print(colour)

    result = model.query(PHRASES)
    table = Table("phrase", "present", "relevancy", "point", "best seen in")
    for answer in result.queries:
        place = answer.geometry
        point = " ".join(f"{value:.2f}" for value in place.point) if place else ""
        seen = place.view if place and place.view else ""
        table.add_row(answer.text, "yes" if answer.present else "no", f"{answer.relevancy:.3f}", point, seen)
    console.print(table)

    for index in model.scene.test:
        view = model.render(index, PHRASES)
        name = Path(model.scene.photos[index].name).stem
        write_png(pictures / f"{name}_colour.png", view.picture.colour)
        write_png(pictures / f"{name}_depth.png", depth_picture(view.picture.depth))
        maps = [normalised_picture(view.relevancy[phrase], view.picture.colour) for phrase in PHRASES]
        write_row(pictures / f"{name}.png", [view.picture.colour, *maps], ["colour", *PHRASES])
    console.print(
        f'Pictures are in {pictures}. Go on with\n  lerf query {run} "red ball" --json\n'
        f'  lerf render {run} --query "red ball" --output {pictures}/more'
    )


if __name__ == "__main__":
    try:
        main()
    except LerfError as error:
        raise SystemExit(f"Error: {error}") from None
