"""CLIP-GAR: attributes from the likeness of a walk to sentences, then from both in one transformer.

Axes: N sequences, C channels, T frames, H rows, W columns, P parts, A attributes, S classes of all attributes, D width
of sentences.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ModelError
from gaitbench.layers import LabelShares, bounded_scale, hold_scale, init_parameters
from gaitbench.losses import attribute_bce
from gaitbench.model import Decision, GaitBatch, GaitModel, GaitOutput, InputSpec, attributes_of, clips_of
from gaitbench.recipe import Stage
from gaitbench.towers.sentence_bank import SentenceBank
from gaitbench_clipgar.config import ClipGarConfig
from gaitbench_clipgar.encoders import ClipEncoder, GaitEncoder
from gaitbench_clipgar.fusion import Fusion
from gaitbench_clipgar.symmetric_kl import symmetric_kl

__all__ = ["ClipGar"]

_SILHOUETTE = "silhouette"


class ClipGar(GaitModel):
    """Parts of a walk, likened to a sentence for each class of each attribute; then a transformer over both.

    Two stages train it: ``align`` the encoder, the map ``theta`` and the temperature, by the loss ``contrastive``;
    ``fusion``, with those frozen, the rest, by the loss ``bce``. What trains is computed and nothing else, so that a
    stage that freezes nothing learns both at once. The embedding is the encoder's parts.

    Source:
        Wang et al., RA-GAR and CLIP-GAR, AAAI 2025, 39(7):7591-7599, equations 1 to 3. What it leaves open is ours: the
        open points of the model's spec.

    Example:
        >>> from gaitbench.card import Attribute
        >>> config = ClipGarConfig(
        ...     attributes=(Attribute(name="limping", title="Limping", classes=("not limping", "limping")),),
        ...     text={"architecture": "hashing"}, channels=(8, 8, 8, 8), heads=2,
        ... )
        >>> model = ClipGar(config).eval()
        >>> model.inputs[0].modality, model.text.sentences[1]
        ('silhouette', 'The legs of this pedestrian silhouette are limping')
    """

    padding = "masked"
    config: ClipGarConfig

    def __init__(self, config: ClipGarConfig) -> None:
        super().__init__(config)
        self.num_classes = config.num_classes_each
        self.text = SentenceBank(
            config.text, config.all_sentences(), fields="text, template, words, sentences and attributes"
        )
        self.encoder: GaitEncoder | ClipEncoder
        self.theta: nn.Conv1d | None = None
        if config.encoder == "gait":
            self.encoder = GaitEncoder(config)
            self.theta = nn.Conv1d(self.encoder.width, self.text.width, 1)
            init_parameters(self.theta)
        else:
            self.encoder = ClipEncoder(config)
            if self.encoder.width != self.text.width:
                raise ModelError(
                    f"images of {config.image.architecture} have {self.encoder.width} numbers and sentences of "
                    f"{config.text.architecture} {self.text.width}; take both towers of one CLIP"
                )
        # A parameter also where it is not learned, so that one recipe fits.
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(config.tau)), requires_grad=config.is_tau_learned)
        self.fusion: Fusion | None = None
        self.shares: LabelShares | None = None
        if config.scored == "fusion":
            width = self.encoder.width if config.fused == "encoder" else self.text.width
            self.fusion = Fusion(self.text.width, width, self.encoder.num_parts, sum(self.num_classes), config)
            if config.weighting == "exp-share":
                self.shares = LabelShares(self.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        config = self.config
        return (InputSpec(modality=_SILHOUETTE, height_px=config.height_px, width_px=config.width_px),)

    @property
    def decides(self) -> Decision:
        """The most alike sentence of each attribute; behind the fusion, what the config says."""
        return "argmax" if self.config.scored == "align" else self.config.decision

    @property
    def scale(self) -> Tensor:
        """Factor on cosines: 1 / tau, bounded."""
        return bounded_scale(self.logit_scale, self.config.max_scale)

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        """Weights bring the vectors of sentences along, so that the text tower is not needed."""
        if "text.vectors" in weights:
            self.text.will_be_loaded()

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Tell attributes of silhouettes ``[N, 1, T, H, W]``; padding changes nothing outside training.

        ``extras`` holds ``similarity``, cosines ``[N, S]``, and ``labels``, the heads' logits ``[N, S]``, as far as
        they are computed.
        """
        parts = self.part_features(batch)
        has_alignment, has_fusion = self._computed()
        extras: dict[str, Tensor] = {}
        # Temperatures make much of small differences, and decisions are made at 0, where bfloat16 has three digits.
        with torch.autocast(parts.device.type, enabled=False):
            parts = parts.float()
            text = self.text()
            if has_alignment:
                if self.training:
                    hold_scale(self.logit_scale, self.config.max_scale)
                extras["similarity"] = self._similarity(parts, text)
            if has_fusion:
                assert self.fusion is not None
                visual = parts if self.config.fused == "encoder" else self._likened(parts)
                extras["labels"] = self.fusion(text, visual)
            told = extras["labels"] if "labels" in extras else self.scale * extras["similarity"]
        return GaitOutput(embedding=parts, attributes=self._by_attribute(told), extras=extras)

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The encoder's parts ``[N, C, P]``."""
        clips, num_frames = clips_of(batch, _SILHOUETTE)
        parts: Tensor = self.encoder(clips, num_frames)
        return parts

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """``contrastive`` where likeness was computed, ``bce`` where labels were; over known attributes.

        Raises:
            ModelError: The batch has no attributes, or the model no sentences.
        """
        attributes = attributes_of(batch)
        if not self.num_classes:
            raise ModelError("this model has no sentences, as its config names no attributes; the runner fills them in")
        found = {}
        if "similarity" in output.extras:
            found["contrastive"] = symmetric_kl(self.scale * output.extras["similarity"], attributes, self.num_classes)
        if "labels" in output.extras:
            if self.shares is not None and self.training:
                self.shares.update(attributes)
            found["bce"] = attribute_bce(
                output.extras["labels"],
                attributes,
                self.num_classes,
                reduction="sum",
                share=None if self.shares is None else self.shares.value,
            )
        return found

    def _computed(self) -> tuple[bool, bool]:
        """Whether likeness and whether labels are needed: what trains, or what is scored."""
        if self.training:
            fusion = [] if self.fusion is None else list(self.fusion.parameters())
            behind = {id(weight) for weight in fusion}
            trains = [weight for weight in self.parameters() if weight.requires_grad]
            needed = any(id(weight) not in behind for weight in trains), any(id(weight) in behind for weight in trains)
            if any(needed):
                return needed
        return self.fusion is None, self.fusion is not None

    def _likened(self, parts: Tensor) -> Tensor:
        """Parts in the space of sentences, ``[N, D, P]``."""
        return parts if self.theta is None else self.theta(parts)

    def _similarity(self, parts: Tensor, text: Tensor) -> Tensor:
        """Cosines of clips and sentences ``[N, S]``."""
        seen = self._likened(parts)
        if self.config.likeness == "mean-of-cosines":
            # The mean of cosines is the product with the mean of what has unit length.
            seen = functional.normalize(seen, dim=1).mean(dim=2)
        else:
            seen = functional.normalize(seen.mean(dim=2), dim=1)
        return seen @ functional.normalize(text, dim=1).T

    def _by_attribute(self, told: Tensor) -> dict[str, Tensor]:
        if not self.num_classes:
            return {}
        parts = torch.split(told, list(self.num_classes), dim=1)
        return {attribute.name: part for attribute, part in zip(self.config.attributes, parts, strict=True)}
