"""Tables of an evaluation for people."""

from __future__ import annotations

from typing import Any

from lerf.apps.tables import Listing

COLOUR = {"psnr": ("PSNR dB", ".2f"), "ssim": ("SSIM", ".3f"), "lpips": ("LPIPS", ".3f")}
SCORES = {
    "localisation": "localisation",
    "localisation_by_type": "",
    "localisation_by_unseen": "",
    "ovs_localisation": "LERF-OVS localisation",
    "miou": "LERF-OVS mIoU",
    "average_precision": "existence, average precision",
    "answered": "3D answered",
    "point_accuracy": "3D point on the thing",
    "count_accuracy": "count right",
    "extent_iou": "extent, median IoU",
    "part_scale_smaller": "parts at smaller scales",
    "lerf_3d_miou": "3D selection, mIoU",
    "lerf_3d_acc_25": "3D selection, IoU over 0.25",
    "lerf_3d_acc_50": "3D selection, IoU over 0.5",
    "margin_sign": "margins of the photo's sign",
    "teacher_cosine": "cosine with the photo's embeddings",
}
"""Rows of the table of scores; those without a title are splits of the row above."""


def report_tables(report: dict[str, Any]) -> list[Listing]:
    """The colour of each view, then the scores beside the 2D baseline's; whatever the report holds."""
    tables = []
    if "views" in report:
        scores = [score for score in COLOUR if score in report]
        table = Listing(("held-out photo", *(COLOUR[score][0] for score in scores)))
        for name, row in [*((view["photo"], view) for view in report["views"]), ("mean", report)]:
            table.add(name, *(format(row[score], COLOUR[score][1]) for score in scores))
        tables.append(table)
    if "depth_views" in report:
        table = Listing(("held-out photo", "points", "depth error, median", "90th percentile"))
        for name, row in [*((view["photo"], view) for view in report["depth_views"]), ("all points", report)]:
            values = (f"{100 * row[key]:.2f} %" for key in ("depth_error_median", "depth_error_p90"))
            table.add(name, str(row["depth_points"]), *values)
        tables.append(table)
    if "phrases" in report:
        tables.append(_scores(report))
    return tables


def _scores(report: dict[str, Any]) -> Listing:
    baseline = report.get("baseline_2d", {})
    # Of LERF-OVS alone, `localisation` repeats what has a row of its own.
    named = {key: title for key, title in SCORES.items() if "lerf-localisation" in report["protocol"] or title}
    if "lerf-localisation" not in report["protocol"]:
        named.pop("localisation")
    rule = report["settings"].get("localisation_rule")
    table = Listing(("score", "maps" if "maps" in report["settings"] else "run", "2D baseline"))
    for key, title in named.items():
        value = report.get(key)
        if isinstance(value, dict):
            beside = baseline.get(key, {})
            for part, mean in value.items():
                table.add(f"    {part}", _percent(mean), _percent(beside.get(part)))
        elif value is not None:
            shown = f"{title}, by {rule}" if key == "localisation" else title
            table.add(tuple(shown.split()), _percent(value), _percent(baseline.get(key)))
    return table


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
