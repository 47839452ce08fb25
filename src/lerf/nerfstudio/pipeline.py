"""Data manager, model and encoders together; what training alone needs is opened when training starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Type  # noqa: UP035 - as nerfstudio annotates its configurations

import torch
from nerfstudio.cameras.rays import RayBundle as TheirRays
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from torch import Tensor

import lerf
from lerf.encoders.protocols import DenseEncoder
from lerf.encoders.ready import encoders_of, require_weights
from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.errors import ConfigError
from lerf.nerfstudio.datamanager import LerfDataManager, LerfDataManagerConfig, TrainingImages
from lerf.nerfstudio.facts import trained_photos, write_facts
from lerf.nerfstudio.lent import LEAVE_OUT, OPTION, lent_radiance
from lerf.nerfstudio.model import LerfModel, LerfModelConfig
from lerf.nerfstudio.optimisers import count_language_from
from lerf.nerfstudio.told import ending_in_a_sentence, say
from lerf.run.differences import listed

DENSE_HEAD = "_model.language.dense_head.2.weight"
"""Name of a checkpoint's tensor with a row for each channel of dense features."""
POOL_BATCHES = 24
"""Batches of training rays by which places learn at which scales photos show them."""


@dataclass
class LerfPipelineConfig(VanillaPipelineConfig):
    """Parts of the method."""

    _target: Type = field(default_factory=lambda: LerfPipeline)  # noqa: UP006
    datamanager: LerfDataManagerConfig = field(default_factory=LerfDataManagerConfig)
    """Pixels and pyramids."""
    model: LerfModelConfig = field(default_factory=LerfModelConfig)
    """Fields."""


class LerfPipeline(VanillaPipeline):
    """nerfstudio's pipeline, with encoders that no checkpoint keeps."""

    config: LerfPipelineConfig
    datamanager: LerfDataManager
    model: LerfModel
    _goes_on = False
    """Whether a checkpoint was loaded."""

    @ending_in_a_sentence
    def __init__(
        self,
        config: LerfPipelineConfig,
        device: torch.device | str,
        test_mode: Literal["test", "val", "inference"] = "val",
        world_size: int = 1,
        local_rank: int = 0,
        grad_scaler: Any = None,
    ) -> None:
        """Arguments as of `VanillaPipeline`.

        Raises:
            EncoderError: an encoder is unknown, or its weights are missing.
            ConfigError: several devices are asked for, or a radiance of which cameras cannot be corrected.
        """
        super(VanillaPipeline, self).__init__()
        if world_size > 1:
            raise ConfigError("lerf trains on one device: leave --machine.num-devices at 1.")
        if config.model.radiance is not None and config.model.camera_optimizer.mode != "off":
            raise ConfigError(
                f"The radiance of {OPTION} stays as it is, and cameras can only be corrected with one in training: "
                "leave --pipeline.model.camera-optimizer.mode off."
            )
        self.config, self.test_mode, self.world_size = config, test_mode, world_size
        # A checkpoint knows what the dense features were; only training makes them.
        names = config.datamanager.encoder, config.datamanager.dense if test_mode == "val" else "none"
        require_weights(encoders_of(*names, None), False)
        encoder = load_encoder(names[0], device=str(device))
        self._dense: tuple[DenseEncoder, ...] = ()  # in a tuple, so that torch does not take it for a part
        if names[1] != "none":
            self._dense = (load_dense_encoder(names[1], device=str(device)),)
        self._encoder = (encoder,)
        self.datamanager = config.datamanager.setup(
            device=device, test_mode=test_mode, world_size=world_size, local_rank=local_rank
        )
        dataset = self.datamanager.train_dataset
        self._model = config.model.setup(
            scene_box=dataset.scene_box, num_train_data=len(dataset), metadata=dataset.metadata, device=device,
            grad_scaler=grad_scaler, encoder=encoder, cameras=dataset.cameras,
            dense_width=self._dense[0].width if self._dense else 0,
            cut_out=test_mode == "val" and TrainingImages(dataset).are_cut_out(),
        )  # fmt: skip
        self.model.to(device)

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """See `VanillaPipeline.load_pipeline`."""
        head: Tensor | None = loaded_state.get(DENSE_HEAD)
        if not self._dense:
            self.model.fit_dense_head(0 if head is None else len(head))
        super().load_pipeline(loaded_state, step)
        self.model.note_scene()
        self._goes_on = True

    @ending_in_a_sentence
    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> list[TrainingCallback]:
        """See `VanillaPipeline.get_training_callbacks`; the Trainer alone calls it, after a checkpoint was loaded."""
        encoder, dense = self._encoder[0], self._dense[0] if self._dense else None
        self._warn_of_threads()
        if self.config.model.radiance is not None:
            self._borrow(self.config.model.radiance)
        if attributes.optimizers is not None:
            count_language_from(attributes.optimizers, self._language_start)
        self.datamanager.read_pyramids(encoder, dense, str(self.device))
        self.model.note_ends(self.datamanager.ends_of_tiles())
        if attributes.trainer is not None:
            folder = Path(attributes.trainer.base_dir)
            write_facts(folder, self.datamanager, encoder, dense, bool(self.model.cut_out))
        where = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION
        ours = [TrainingCallback([where], self._before, update_every_num_iters=1)]
        return super().get_training_callbacks(attributes) + ours

    def _borrow(self, run: Path) -> None:
        """Take the radiance of a run of ours over, unless the checkpoint that training goes on from has it already."""
        if bool(self.model.lent):
            return
        if self._goes_on:
            raise ConfigError(
                f"{OPTION} begins a training, and this one goes on with a radiance that it trained itself: {LEAVE_OUT}."
            )
        evaluated = self.datamanager.eval_dataset.image_filenames
        lent = lent_radiance(
            run, self.config.model.radiance_config, trained_photos(self.datamanager), list(map(str, evaluated))
        )
        if lent.seen:
            say(
                f"the radiance of {run} was trained on {len(lent.seen)} of the {len(evaluated)} photos that nerfstudio "
                f"evaluates on ({listed(lent.seen)}): its scores there are too good."
            )
        self.model.borrow(lent)

    @property
    def _language_start(self) -> int:
        """Step from which language is trained."""
        return 0 if bool(self.model.lent) else self.config.model.language_start

    def _before(self, step: int) -> None:
        if step >= self._language_start and not bool(self.model.language_begun):
            self.model.begin_language(self._batches(step))

    def _batches(self, step: int) -> Iterator[TheirRays]:
        for _ in range(POOL_BATCHES):
            yield self.datamanager.next_train(step)[0]

    def _warn_of_threads(self) -> None:
        """Say so where torch was loaded before lerf could choose how its threads wait."""
        if str(self.device) == "cpu" and lerf.WAITS_ACTIVELY:
            say(
                "torch was loaded before lerf could set OMP_WAIT_POLICY, and its threads now wait by spinning, "
                "which makes a step cost up to three times the processor time: set OMP_WAIT_POLICY=PASSIVE in the "
                "environment of ns-train."
            )
