"""The stage of the surface: traced, read by the language and stored with its graph, so that the first query need
not."""

from __future__ import annotations

from typing import Any

from lerf.encoders.mini_things import MiniThings
from lerf.queries.surface import Surface, steps_of_rays
from lerf.radiance.surface import SURFACE_POINTS, trace_surface
from lerf.run.folder import StageName
from lerf.run.open_run import open_language
from lerf.run.report import reported
from lerf.run.surface_store import FILE, stored_surface
from lerf.run.thing_views import thing_views
from lerf.stages.radiance import open_radiance
from lerf.stages.stage import Context
from lerf.steps import Steps


class SurfaceStage:
    """Makes the surface that queries are answered from."""

    name: StageName = "surface"
    needs: tuple[StageName, ...] = ("radiance", "language")
    saved = True

    def decided_by(self, context: Context) -> dict[str, Any]:
        samples, things = context.settings.language.samples, MiniThings().fingerprint
        return {"points": SURFACE_POINTS, "samples": samples, "things": things}

    def check(self, context: Context) -> None:
        """Anything that can be said beforehand is said by the stages that this one needs."""

    def run(self, context: Context) -> None:
        run, settings, key = context.run, context.settings, context.keys[self.name]
        radiance, language = open_radiance(context), open_language(context.run, settings, settings.device)
        train = radiance.scene.train

        def make() -> Steps[Surface]:
            traced = yield from trace_surface(radiance.source, radiance.cameras, train, language.samples)
            views = thing_views(radiance.scene, radiance.cameras, settings.device)
            return (yield from steps_of_rays(traced, language, views))

        sources = (run.path / "radiance.safetensors", run.path / "language.safetensors")
        facts = {"step": 0, "key": key.digest, "decided_by": key.decided_by}
        # Every photo is traced, and then asked what its things are.
        total = 2 * len(train)
        with reported(context.reporter, self.name, total) as progress:
            steps = stored_surface(run.path / FILE, sources, language, settings.device, make, facts)
            for done, _ in enumerate(steps, start=1):
                progress(done, total)
