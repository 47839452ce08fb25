"""The model that nerfstudio trains and renders: our radiance and language fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Type  # noqa: UP035 - as nerfstudio annotates its configurations

import torch
from nerfstudio.cameras.camera_optimizers import CameraOptimizer, CameraOptimizerConfig
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle as TheirRays
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.model_components.renderers import RGBRenderer
from nerfstudio.models.base_model import Model, ModelConfig
from torch import Tensor, nn

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import LerfError
from lerf.evaluation.metrics import psnr
from lerf.geometry.rays import RayBundle
from lerf.geometry.traced_rays import RaySamples, TracedRays, median_sample
from lerf.language.config import LanguageConfig
from lerf.language.field import LanguageField
from lerf.nerfstudio.answers import Answers, read_view
from lerf.nerfstudio.controls import Controls
from lerf.nerfstudio.datamanager import CLIP, DINO, HEIGHTS, TILES
from lerf.nerfstudio.lent import LentRadiance
from lerf.nerfstudio.losses import compared, language_losses, radiance_losses, view_pictures, view_scores
from lerf.nerfstudio.optimisers import enter_grid
from lerf.nerfstudio.pictures import paint_relevancy
from lerf.nerfstudio.rays import Frame, note_cosines, raster_rays
from lerf.nerfstudio.told import say
from lerf.networks.dense_layers import DenseLayers
from lerf.radiance.hash_grid.config import RadianceConfig
from lerf.radiance.hash_grid.field import RadianceField, RadianceOutput, ViewedRays
from lerf.radiance.surface import SURFACE_POINTS
from lerf.training.schedules import RadianceTraining

REFRESH = 500
"""Training steps after which the surface that phrases are answered from is traced anew."""
_TRAINING = RadianceTraining()


@dataclass
class LerfModelConfig(ModelConfig):
    """Sizes of the fields, and how they are trained; `lerf train` has the same settings under the same names."""

    _target: Type = field(default_factory=lambda: LerfModel)  # noqa: UP006
    enable_collider: bool = False
    """The fields know their own near and far."""
    preset: str = "lerf"
    """Preset of `lerf train` that the settings come from."""
    radiance_config: RadianceConfig = field(default_factory=RadianceConfig)
    """Sizes of the radiance field."""
    language_config: LanguageConfig = field(default_factory=LanguageConfig)
    """Sizes of the language field."""
    radiance: Path | None = None
    """Run of `lerf train` whose finished radiance is used as it is; language alone is trained, from the first step."""
    language_start: int = 1000
    """Step from which language is trained; before it the radiance is not worth reading along."""
    distortion: float = _TRAINING.distortion
    """Weight of the distortion loss."""
    distortion_ramp: tuple[int, int] = _TRAINING.distortion_ramp
    """Steps between which it is faded in."""
    anneal_steps: int = _TRAINING.anneal_steps
    """Steps during which the proposal sharpens."""
    grid_every: int = _TRAINING.grid_every
    """Steps between refreshes of the density grid."""
    grid_cells: int = _TRAINING.grid_cells
    """Cells of it that a refresh reads."""
    clip_weight: float = 0.1
    """Weight of the Huber loss on embeddings."""
    dense_weight: float = 1.0
    """Weight of the squared error on dense features."""
    camera_optimizer: CameraOptimizerConfig = field(default_factory=lambda: CameraOptimizerConfig(mode="off"))
    """Corrections of the training cameras' poses."""


@dataclass
class Surroundings:
    """What the model works with and no checkpoint keeps."""

    encoder: ImageTextEncoder
    cameras: Cameras
    """Of the training photos."""
    answers: Answers | None = None
    answers_step: int = -1
    seen: RadianceOutput | None = None
    """Of the last training step."""
    ends: tuple[float, float] | None = None
    """Smallest and largest height of a tile over its photo's; None where nothing is trained."""
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))


class LerfModel(Model):
    """Outputs `rgb`, `depth`, `accumulation`, `clip`, `dino`, `relevancy_i` and `composited_i`."""

    config: LerfModelConfig
    cut_out: Tensor
    language_begun: Tensor
    lent: Tensor
    """Whether the radiance is that of another run, and stays as it is."""
    bounds: Tensor
    """Near and far of a radiance that was lent; 0 where they are those of the configuration."""

    def populate_modules(self) -> None:
        """Set up the fields; `kwargs` are those of `pipeline.LerfPipeline`."""
        super().populate_modules()
        config, cameras = self.config, self.kwargs["cameras"]
        self._around = Surroundings(self.kwargs["encoder"], cameras)
        self.frame = Frame(cameras.camera_to_worlds[:, :3])
        self.register_buffer("cut_out", torch.tensor(bool(self.kwargs["cut_out"])))
        self.register_buffer("language_begun", torch.tensor(False))
        self.register_buffer("lent", torch.tensor(False))
        self.register_buffer("bounds", torch.zeros(2))
        self.radiance = RadianceField(config.radiance_config, self.num_train_data)
        self.language = LanguageField(
            config.language_config, self._around.encoder.width, self.kwargs["dense_width"], (1.0, 2.0)
        )
        self.note_scene()
        enter_grid(self.radiance.grid)
        enter_grid(self.language.grid)
        self.camera_optimizer: CameraOptimizer = config.camera_optimizer.setup(
            num_cameras=self.num_train_data, device="cpu"
        )
        self.controls = Controls(config.prompt, self._around.encoder.defaults.canonical)
        self.renderer_rgb = RGBRenderer(background_color="white")  # which get_rgba_image asks
        self.step = 0

    def note_scene(self) -> None:
        """Give the radiance the bounds that `cut_out` and `bounds` say, and let it rest where it is another run's."""
        background = "alpha" if bool(self.cut_out) else None
        config = self.config.radiance_config.for_background(background)
        near, far = self.bounds.tolist()
        self.radiance.config = replace(config, near=near, far=far) if far > 0 else config
        self.radiance.requires_grad_(not bool(self.lent))

    def borrow(self, source: LentRadiance) -> None:
        """Take another run's radiance over, with its frame."""
        self.radiance.load_state_dict(source.tensors)
        self.frame.replace(source.frame)
        self.bounds.copy_(torch.tensor([source.near, source.far]))
        self.cut_out.fill_(source.cut_out)
        self.lent.fill_(True)
        self.note_scene()

    def note_ends(self, ends: tuple[float, float]) -> None:
        """Know the smallest and the largest height of a tile over its photo's."""
        self._around.ends = ends

    def fit_dense_head(self, width: int) -> None:
        """Have dense features of this length, as a checkpoint has."""
        current = self.language.dense_head
        if width != (0 if current is None else current[-1].out_features):
            features = self.language.grid.layout.width
            head = DenseLayers(features, self.config.language_config.dense_hidden, width) if width else None
            self.language.dense_head = None if head is None else head.to(self.device)

    def get_param_groups(self) -> dict[str, list[nn.Parameter]]:
        """See `Model.get_param_groups`."""
        gain = self.radiance.log_gain
        groups = {"language": list(self.language.parameters())}
        if self.config.radiance is None:
            groups |= {
                "radiance": [each for each in self.radiance.parameters() if each is not gain], "gains": [gain],
            }  # fmt: skip
        self.camera_optimizer.get_param_groups(param_groups=groups)
        return groups

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> list[TrainingCallback]:
        """See `Model.get_training_callbacks`."""
        config, around, radiance = self.config, self._around, self.radiance

        def before(step: int) -> None:
            self.step = step
            if step % config.grid_every == 0 and not bool(self.lent):
                radiance.refresh_density_grid(config.grid_cells, _TRAINING.grid_decay, around.generator)

        def after(step: int) -> None:
            if around.seen is not None:
                seen, around.seen = around.seen, None
                radiance.note_densities(seen.positions.detach(), seen.densities.detach(), _TRAINING.sample_decay)

        where = TrainingCallbackLocation
        return [
            TrainingCallback([where.BEFORE_TRAIN_ITERATION], before, update_every_num_iters=1),
            TrainingCallback([where.AFTER_TRAIN_ITERATION], after, update_every_num_iters=1),
        ]

    def update_to_step(self, step: int) -> None:
        """See `Model.update_to_step`: what was answered from belongs to another state."""
        self.step, self._around.answers = step, None

    def get_outputs(self, ray_bundle: TheirRays) -> dict[str, Tensor]:
        """Colour, depth (along the ray, in nerfstudio's units) and accumulation; in training also what losses need."""
        if self.training:
            return self._train(ray_bundle)
        rays = self.frame(ray_bundle)
        out = self.radiance.view_rays(rays, self.radiance.config.render_samples)
        colour, distance, opacity = _composited(out)
        inside = torch.ones_like(distance, dtype=torch.bool)
        if ray_bundle.nears is not None and ray_bundle.fars is not None:  # the viewer's crop box
            inside = (distance >= ray_bundle.nears * self.frame.scale) & (
                distance <= ray_bundle.fars * self.frame.scale
            )
        return {
            "rgb": torch.where(inside, colour + 1.0 - opacity, 1.0).clamp(0.0, 1.0),
            "accumulation": opacity.clamp(max=1.0) * inside,
            "depth": distance / self.frame.scale,
        }

    def _train(self, ray_bundle: TheirRays) -> dict[str, Tensor]:
        self.camera_optimizer.apply_to_raybundle(ray_bundle)
        rays = self.frame(ray_bundle, ray_bundle.camera_indices[..., 0])
        # Schlick's bias curve, as in `training.radiance`.
        progress = 1.0 if bool(self.lent) else min(self.step / max(self.config.anneal_steps, 1), 1.0)
        jitter = torch.rand(len(rays), device=rays.origins.device)
        edges = self.radiance.place_samples(rays, jitter, anneal=10.0 * progress / (9.0 * progress + 1.0))
        out = self.radiance(rays, edges)
        self._around.seen = None if bool(self.lent) else out
        colour, distance, opacity = _composited(out)
        outputs = {
            "rgb": colour * self.radiance.gain(rays.photo), "accumulation": opacity,
            "depth": distance / self.frame.scale, "weights": out.weights, "edges": out.edges,
        }  # fmt: skip
        if bool(self.language_begun) and TILES in ray_bundle.metadata:
            traced = self.trace(rays, out)
            self._note_scales(traced, ray_bundle.metadata[HEIGHTS][:, 0])
            clip, dino = self.language(traced, ray_bundle.metadata[TILES][:, 0])
            outputs |= {"clip": clip} if dino is None else {"clip": clip, "dino": dino}
        return outputs

    @torch.no_grad()
    def trace(self, rays: RayBundle, out: RadianceOutput) -> TracedRays:
        """The samples of a pass over rays as language reads them."""
        middles = 0.5 * (out.edges[:, 1:] + out.edges[:, :-1])
        samples = RaySamples(out.positions.detach(), middles.detach(), out.weights.detach())
        return samples.traced(rays, self.language.config.samples)

    @torch.no_grad()
    def begin_language(self, batches: Iterator[TheirRays]) -> None:
        """Learn at which scales each place is shown, from rays of the training photos with `HEIGHTS` in their metadata,
        and train language from now on."""
        positions, units, ends = [], [], self._around.ends
        assert ends is not None, "the pyramids have been read"
        for batch in batches:
            batch = batch.to(self.device)
            rays = self.frame(batch)
            traced = self.radiance.sample_rays(rays).traced(rays, 1)
            unit = batch.metadata[HEIGHTS][:, 0] * traced.median_depth
            positions.append(traced.median_position[traced.hit])
            units.append(unit[traced.hit])
        place, unit = torch.cat(positions), torch.cat(units)
        if len(unit) == 0:
            return
        low, high = unit * ends[0], unit * ends[1]
        at = torch.quantile(torch.cat([low, high]), torch.tensor([0.01, 0.99]).to(unit))
        self.language.log_scale_range.copy_(at.log())
        self.language.bounds.note(place, low, high)
        self.language.bounds.widen()
        self.language_begun.fill_(True)

    @torch.no_grad()
    def _note_scales(self, traced: TracedRays, photo_height: Tensor) -> None:
        """Let places that the radiance has moved since also know their scales."""
        if self._around.ends is not None:
            unit = (photo_height * traced.median_depth)[traced.hit]
            low, high = self._around.ends
            self.language.bounds.note(traced.median_position[traced.hit], unit * low, unit * high)

    def get_metrics_dict(self, outputs: dict[str, Tensor], batch: dict[str, Any]) -> dict[str, Any]:
        """See `Model.get_metrics_dict`."""
        shown, truth = compared(outputs, batch["image"])
        metrics: dict[str, Any] = {"psnr": psnr(shown.detach()[None], truth[None])}
        self.camera_optimizer.get_metrics_dict(metrics)
        return metrics

    def get_loss_dict(
        self, outputs: dict[str, Tensor], batch: dict[str, Any], metrics_dict: dict[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """See `Model.get_loss_dict`."""
        config = self.config
        losses = radiance_losses(outputs, batch["image"], config.distortion, config.distortion_ramp, self.step)
        if "clip" in outputs and self.training:
            losses |= language_losses(outputs, batch[CLIP], batch.get(DINO), config.clip_weight, config.dense_weight)
        if self.training:
            self.camera_optimizer.get_loss_dict(losses)
        return losses

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: Any = None) -> dict[str, Tensor]:
        """See `Model.get_outputs_for_camera`."""
        rays = camera.generate_rays(camera_indices=0, keep_shape=True, obb_box=obb_box)
        return self.get_outputs_for_camera_ray_bundle(note_cosines(rays, camera))

    @torch.no_grad()
    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle: TheirRays) -> dict[str, Tensor]:
        """See `Model.get_outputs_for_camera_ray_bundle`; with the pictures of language, once that was trained."""
        outputs = super().get_outputs_for_camera_ray_bundle(camera_ray_bundle)
        try:
            return outputs if (found := self.answers()) is None else self._asked(camera_ray_bundle, outputs, found)
        except LerfError as error:  # it would end the thread that renders for the viewer
            say(str(error))
            return outputs

    def _asked(self, camera_ray_bundle: TheirRays, outputs: dict[str, Tensor], answers: Answers) -> dict[str, Tensor]:
        """Outputs of a view with those of language."""
        shape = camera_ray_bundle.origins.shape[:2]
        rays = self.frame(camera_ray_bundle.flatten().to(self.device))
        controls, encoder = self.controls, self._around.encoder
        phrases = controls.phrases(encoder, encoder.defaults.temperature, str(self.device))
        given = float(controls.scale.value) * float(self.frame.scale)
        scales = [] if phrases is None else answers.scales(phrases) if given <= 0 else [given] * len(phrases)
        stops = (outputs["depth"] * self.frame.scale).reshape(-1, 1).to(rays.origins)
        stands = outputs["accumulation"].reshape(-1, 1).to(stops) >= 0.5
        points = torch.where(stands, rays.origins + rays.directions * stops, torch.nan)
        found = read_view(self.radiance, self.language, answers, rays, points, phrases, scales)
        shown = {name: value.view(*shape, -1).to(outputs["rgb"]) for name, value in found.items()}
        return paint_relevancy(
            {**outputs, **shown}, len(scales), float(controls.threshold.value), bool(controls.stretched.value)
        )

    def answers(self) -> Answers | None:
        """What phrases are answered from, at most `REFRESH` training steps old; None before language is trained."""
        around = self._around
        if not bool(self.language_begun):
            return None
        if around.answers is None or abs(self.step - around.answers_step) >= REFRESH:
            rasters = (self.frame(rays.to(self.device)) for rays in raster_rays(around.cameras, SURFACE_POINTS))
            around.answers, around.answers_step = Answers.of(self.radiance, self.language, rasters), self.step
        return around.answers

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """See `Model.get_image_metrics_and_images`."""
        metrics, truth = view_scores(outputs["rgb"], batch["image"])
        return metrics, view_pictures(outputs, truth)


def _composited(out: RadianceOutput | ViewedRays) -> tuple[Tensor, Tensor, Tensor]:
    """Light of the samples, median distance and opacity of rays, the last two [rays, 1]."""
    middles = 0.5 * (out.edges[:, 1:] + out.edges[:, :-1])
    return out.colour, middles.gather(-1, median_sample(out.weights)).detach(), out.weights.sum(-1, keepdim=True)
