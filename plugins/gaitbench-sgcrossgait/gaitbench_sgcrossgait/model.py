"""SG-CrossGait: silhouettes and LiDAR range images in one space, with texts of the training walks between them.

Axes: N pairs, M sequences of all modalities present, C channels, T frames, H rows and W columns of frames, h rows and w
columns of maps, d width of features, E width of the text space, S texts, D embedding width, P parts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError, UsageError
from gaitbench.explaining import Explainable, Finding, Heatmap
from gaitbench.layers import (
    RealFrames,
    ResNet9,
    SeparateBNNeck,
    SeparateFC,
    bounded_scale,
    hold_scale,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    widen,
)
from gaitbench.losses import attribute_cross_entropy, batch_all_triplet, cross_modal_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, attributes_of, clips_of, labels_of, logits_of
from gaitbench.recipe import Stage
from gaitbench.towers.sentence_bank import SentenceBank
from gaitbench_sgcrossgait.alignment import positive_pairs, soft_contrastive, symmetric_divergence
from gaitbench_sgcrossgait.config import MODALITIES, SgCrossGaitConfig
from gaitbench_sgcrossgait.decoupling import Decoupled, Decoupling
from gaitbench_sgcrossgait.fusion import DualStreamFusion
from gaitbench_sgcrossgait.image_patches import ImagePatches, SeenByClip

__all__ = ["LOSSES", "SgCrossGait"]

_SHORT = {"silhouette": "2d", "lidar-depth": "3d"}

LOSSES = (
    *("triplet_2d_to_3d", "triplet_3d_to_2d", "cross_entropy_2d", "cross_entropy_3d", "kl"),
    *("modality_2d", "modality_3d", "orthogonality", "guided_2d", "guided_3d"),
    *("contrastive_2d", "contrastive_3d", "text_triplet", "text_cross_entropy"),
    *("clip_2d", "clip_3d", "attributes_2d", "attributes_3d"),
)
"""Every loss; in a direction the anchor's sensor stands first."""

_NUM_TOLD = 3
"""Texts that an explanation names of a sequence."""


class _Seen(NamedTuple):
    """M sequences on their way through the network."""

    clip: SeenByClip | None
    parts: Decoupled | None
    shared: Tensor
    """``[M, d, h, w]``: all that an embedding is made of."""


class SgCrossGait(GaitModel, Explainable):
    """A ResNet9 for either sensor, fused with CLIP's patches (DCF), divided in what is shared and what is not (SGFD).

    An embedding is made of the shared feature of one sensor, and of nothing else: neither text nor attribute of any
    sequence enters it. In training, shared features are aligned with a text of each walk, attend to the texts of their
    subject for a loss of their own, and tell attributes (MT). Losses: :data:`LOSSES`; one that an ablation leaves
    nothing to compute is 0.

    Source:
        SG-CrossGait, IEEE TIFS 2026, by its abstract, the authors' list of gait description factors and their training
        log; what they leave open is ours: the open points of the model's spec.

    Example:
        >>> config = SgCrossGaitConfig(
        ...     image={"architecture": "open_clip:ViT-B-16",
        ...            "overrides": {"width": 16, "layers": 1, "head_width": 8, "embed_dim": 16}},
        ...     text={"architecture": "hashing"}, channels=(4, 4, 8, 8), heads=2, embedding_width=8, num_classes=3,
        ... )
        >>> model = SgCrossGait(config).eval()
        >>> silhouettes = torch.rand(2, 1, 5, 64, 64).round()
        >>> model(GaitBatch({"silhouette": silhouettes}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 8, 16])
    """

    padding = "masked"
    config: SgCrossGaitConfig

    def __init__(self, config: SgCrossGaitConfig) -> None:
        super().__init__(config)
        width, num_parts = config.width, sum(config.bins)
        # Once, not in every step: there may be thousands of texts.
        self._side = config.tells_sides
        self.encoders = nn.ModuleDict(
            {
                spec.modality: ResNet9(
                    spec.channels,
                    channels=config.channels,
                    strides=config.strides,
                    num_blocks=config.num_blocks,
                    stem_stride=config.stem_stride,
                )
                for spec in self.inputs
            }
        )
        self.patches: ImagePatches | None = None
        self.dcf, self.clip_neck = nn.ModuleDict(), None
        if config.has_dcf:
            self.patches = ImagePatches(config)
            kinds = MODALITIES if config.fusion_sharing == "own" else ("both",)
            self.dcf = nn.ModuleDict({kind: DualStreamFusion(config, self.patches.width) for kind in kinds})
            self.clip_neck = SeparateBNNeck(1, self.patches.width, config.num_classes)
        self.bank: SentenceBank | None = None
        text_width = 0
        if config.has_bank:
            self.bank = SentenceBank(config.text, config.sentences, fields="text, source and annotations")
            text_width = self.bank.width
            self.align = nn.Linear(width, text_width)
            init_parameters(self.align)
            # A parameter also where it is not learned, so that one recipe fits.
            start = torch.tensor(-math.log(config.tau))
            self.logit_scale = nn.Parameter(start, requires_grad=config.is_tau_learned)
            self.text_neck = SeparateBNNeck(1, text_width, config.num_classes)
        self.decoupling = Decoupling(config, text_width) if config.has_sgfd else None
        self.tellers = nn.ModuleList()
        if config.has_mt:
            self.tellers = nn.ModuleList(nn.Linear(width, len(each.classes)) for each in config.attributes)
            init_parameters(self.tellers)
        self.head = SeparateFC(num_parts, width, config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1] and range images in [0, 1], in false colour unless configured otherwise."""
        config = self.config
        is_coloured = config.encoding == "jet3"
        size = {"height_px": config.height_px, "width_px": config.width_px}
        return (
            InputSpec(modality=MODALITIES[0], **size),
            InputSpec(
                modality=MODALITIES[1],
                channels=3 if is_coloured else 1,
                scale=1.0 if is_coloured else 255.0,
                colour_map="jet" if is_coloured else "none",
                **size,
            ),
        )

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        """Weights bring the vectors of texts along, so that the text tower is not needed."""
        if self.bank is not None and "bank.vectors" in weights:
            self.bank.will_be_loaded()

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, D, P]``.

        With one modality the output is that modality's; with both, ``by_modality`` holds one each, with what the losses
        need, and the embedding is their mean. Padding changes nothing outside training.
        """
        present = self._present(batch)
        if self.training and self.bank is not None:
            hold_scale(self.logit_scale, self.config.max_scale)
        seen = self._see(batch, present)
        embedding = self._embed(seen.shared)
        # One pass, so that the shared neck normalises both modalities by the same statistics.
        logits = self.neck(embedding).logits
        attributes, told = self._attributes(seen.shared), self._told(seen, batch)
        count = len(present)
        outputs = {
            modality: GaitOutput(
                embedding=embedding.chunk(count)[number],
                logits=logits.chunk(count)[number],
                attributes={name: x.chunk(count)[number] for name, x in attributes.items()},
                extras={name: x.chunk(count)[number] for name, x in told.items()},
            )
            for number, modality in enumerate(present)
        }
        if count == 1:
            return outputs[present[0]]
        mean = torch.stack(embedding.chunk(count)).mean(dim=0)
        return GaitOutput(embedding=mean, by_modality=outputs, extras=self._text_judgement(batch))

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        """Every loss of :data:`LOSSES`.

        Raises:
            ModelError: The batch had one modality only, or neither labels, texts nor attributes where they are needed.
            UsageError: The stage mirrors clips, and what is told of them tells left from right.
        """
        if stage.augment.flip and self._side:
            raise UsageError(
                f"stage {stage.name!r} mirrors clips (augment.flip {stage.augment.flip:g}), of which training tells "
                f"left from right: {self._side!r}; set augment.flip=0, or tell nothing (has_text=false, has_mt=false)"
            )
        if set(output.by_modality) != set(MODALITIES):
            raise ModelError(f"SG-CrossGait trains on {' and '.join(MODALITIES)} together; the batch had one of them")
        config, labels = self.config, labels_of(batch)
        flat, deep = (output.by_modality[modality] for modality in MODALITIES)
        found = dict.fromkeys(LOSSES, output.embedding.new_zeros(()))
        across = cross_modal_triplet(flat.embedding, deep.embedding, labels, margin=config.margin)
        found["triplet_2d_to_3d"], found["triplet_3d_to_2d"] = across.a_to_b, across.b_to_a
        found["kl"] = symmetric_divergence(
            logits_of(flat), logits_of(deep), scale=config.logit_scale, temperature=config.kl_temperature
        )
        text = self._texts(batch)
        for number, modality in enumerate(MODALITIES):
            one, short = output.by_modality[modality], _SHORT[modality]
            found[f"cross_entropy_{short}"] = self._entropy(logits_of(one), labels)
            for name in ("guided", "clip"):
                if name in one.extras:
                    found[f"{name}_{short}"] = self._entropy(one.extras[name], labels)
            if "sensor" in one.extras:
                sensor = torch.full_like(labels, number)
                found[f"modality_{short}"] = functional.cross_entropy(
                    widen(one.extras["sensor"]), sensor, label_smoothing=config.label_smoothing
                )
                found["orthogonality"] = found["orthogonality"] + 0.5 * one.extras["overlap"].abs().mean()
            if text is not None:
                positive = positive_pairs(labels, text.number, config.positives)
                found[f"contrastive_{short}"] = soft_contrastive(
                    one.extras["aligned"], text.vectors, positive, self.scale
                )
            if one.attributes:
                classes = attributes_of(batch)[:, : len(config.attributes)]
                found[f"attributes_{short}"] = attribute_cross_entropy(list(one.attributes.values()), classes)
        if text is not None:
            found["text_triplet"] = batch_all_triplet(text.vectors[:, :, None], labels, margin=config.margin)
            if "text" in output.extras:
                found["text_cross_entropy"] = self._entropy(output.extras["text"], labels)
        return found

    @property
    def scale(self) -> Tensor:
        """Factor on cosines of features and texts: 1 / tau, bounded."""
        return bounded_scale(self.logit_scale, self.config.max_scale)

    def explain(self, batch: GaitBatch) -> Sequence[Heatmap | Finding]:
        """Show where a feature is shared and where it is the sensor's own, and which texts the shared one looks at.

        The texts are those of training sequences; nothing is told of the sequence itself.
        """
        present = self._present(batch)
        seen = self._see(batch, present)
        num_frames = batch.inputs[present[0]].shape[2]
        rows = len(seen.shared) // len(present)
        shown: list[Heatmap | Finding] = []
        for number, modality in enumerate(present):
            own = slice(number * rows, (number + 1) * rows)
            shared = widen(seen.shared[own])

            def over(title: str, values: Tensor, modality: str = modality) -> Heatmap:
                # A map of the whole sequence, the same over all its frames.
                return Heatmap(f"{title}, {modality}", modality, values[:, None].expand(-1, num_frames, -1, -1))

            shown.append(over("strength of the shared feature", shared.norm(dim=1)))
            if seen.parts is not None:
                specific = widen(seen.parts.specific[own])
                shown.append(over("specific, share of the energy", _specific_share(shared, specific, dim=(1,))))
                whole = _specific_share(shared, specific, dim=(1, 2, 3))
                texts = tuple(f"{share:.1%} of the energy is the sensor's own" for share in whole.tolist())
                shown.append(Finding(f"shared against specific, {modality}", texts))
            if self.decoupling is not None and self.bank is not None and self.config.is_guided:
                looked = self.decoupling.looked_at(shared, self.bank())  # [N, S, h, w]
                shown.append(over("attention on the text it looks at most", _on_the_first(looked)))
                shown.append(Finding(f"looks at, {modality}", self._most_looked_at(looked)))
        return shown

    @staticmethod
    def _present(batch: GaitBatch) -> tuple[str, ...]:
        present = tuple(modality for modality in MODALITIES if modality in batch.inputs)
        if not present:
            raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, not {' or '.join(MODALITIES)}")
        return present

    def _see(self, batch: GaitBatch, present: tuple[str, ...]) -> _Seen:
        maps, clip = zip(*(self._view(batch, modality) for modality in present), strict=True)
        features, seen = torch.cat(maps), None
        if self.patches is not None:
            seen = SeenByClip(*(torch.cat(parts) for parts in zip(*clip, strict=True)))
            if self.config.fusion_sharing == "own":
                fused = [
                    self.dcf[modality](own, view.patches)
                    for modality, own, view in zip(present, maps, clip, strict=True)
                ]
                features = torch.cat(fused)
            else:
                features = self.dcf["both"](features, seen.patches)
        if self.decoupling is None:
            return _Seen(seen, None, features)
        parts = self.decoupling(features)
        return _Seen(seen, parts, parts.shared)

    def _view(self, batch: GaitBatch, modality: str) -> tuple[Tensor, SeenByClip | None]:
        """A modality's maps ``[N, d, h, w]``, and what CLIP sees in it."""
        clips, num_frames = clips_of(batch, modality)
        height, width = self.config.height_px, self.config.width_px
        channels = next(1 if spec.channels == 1 else 3 for spec in self.inputs if spec.modality == modality)
        if clips.shape[1] != channels or tuple(clips.shape[3:]) != (height, width):
            raise ShapeError(f"{modality} must be [N, {channels}, T, {height}, {width}], got {list(clips.shape)}")
        frames = RealFrames.of(num_frames.to(clips.device), clips.shape[2])
        pixels = frames.pick(clips)  # [K, C, H, W]
        maps = set_pool(frames.put(self.encoders[modality](pixels)), frames.num_frames)
        if self.patches is None:
            return maps, None
        seen: SeenByClip = self.patches(pixels.expand(-1, 3, -1, -1), frames)
        return maps, seen

    def _embed(self, shared: Tensor) -> Tensor:
        embedding: Tensor = self.head(horizontal_pyramid_pool(shared, self.config.bins))
        return embedding

    def _attributes(self, shared: Tensor) -> dict[str, Tensor]:
        pooled = widen(shared).mean(dim=(2, 3))
        return {each.name: tell(pooled) for each, tell in zip(self.config.attributes, self.tellers, strict=False)}

    def _told(self, seen: _Seen, batch: GaitBatch) -> dict[str, Tensor]:
        """What the losses read, ``[M, ...]`` each; in evaluation nothing of texts."""
        told: dict[str, Tensor] = {}
        if seen.parts is not None:
            assert self.decoupling is not None
            told["sensor"] = self.decoupling.told_sensor(seen.parts.specific)
            told["overlap"] = functional.cosine_similarity(
                widen(seen.shared).flatten(1), widen(seen.parts.specific).flatten(1), dim=1
            )
        if not self.training:
            return told
        if self.clip_neck is not None and seen.clip is not None:
            told["clip"] = self.clip_neck(seen.clip.token[:, :, None]).logits
        text = self._texts(batch)
        if text is not None:
            told["aligned"] = self.align(widen(seen.shared).mean(dim=(2, 3)))
            if self.decoupling is not None and self.config.is_guided:
                may_see = self._may_see(batch).repeat(len(seen.shared) // len(text.number), 1)
                guided = self.decoupling.guided(seen.shared, text.vectors, may_see)
                told["guided"] = self.neck(self._embed(guided)).logits
        return told

    def _may_see(self, batch: GaitBatch) -> Tensor:
        """``[N, N]`` bool: whose texts each walk's shared feature may attend to in training."""
        labels = labels_of(batch)
        if self.config.guidance == "batch":
            return torch.ones(len(labels), len(labels), dtype=torch.bool, device=labels.device)
        if self.config.guidance == "sequence":
            return torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        return labels[:, None] == labels

    def _texts(self, batch: GaitBatch) -> "_Texts | None":
        """The training walks' texts; None for a model without any."""
        if self.bank is None or not self.training:
            return None
        attributes, column = attributes_of(batch), len(self.config.attributes)
        if attributes.shape[1] <= column:
            raise ModelError(
                f"this model is trained with texts, whose numbers are column {column} of a batch's attributes, and "
                f"this batch has {attributes.shape[1]} columns; train on sequences that gaitbench.described.describe "
                "has told of"
            )
        number = attributes[:, column]
        return _Texts(number, self.bank()[number])

    def _text_judgement(self, batch: GaitBatch) -> dict[str, Tensor]:
        text = self._texts(batch)
        return {} if text is None else {"text": self.text_neck(text.vectors[:, :, None]).logits}

    def _entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        config = self.config
        return part_cross_entropy(logits, labels, scale=config.logit_scale, label_smoothing=config.label_smoothing)

    def _most_looked_at(self, looked: Tensor) -> tuple[str, ...]:
        """For each sequence the texts that its places look at most, with their shares."""
        shares, index = looked.mean(dim=(2, 3)).topk(min(_NUM_TOLD, looked.shape[1]), dim=1)
        return tuple(
            "; ".join(f"{share:.1%} {self.config.sentences[text]}" for share, text in zip(own, texts, strict=True))
            for own, texts in zip(shares.tolist(), index.tolist(), strict=True)
        )


class _Texts(NamedTuple):
    """The texts of N training walks."""

    number: Tensor
    """``[N]`` int64, which of all texts each has."""
    vectors: Tensor
    """``[N, E]``."""


def _specific_share(shared: Tensor, specific: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Squared length of the specific part over that of both, in [0, 1]."""
    own, other = specific.square().sum(dim=dim), shared.square().sum(dim=dim)
    return own / (own + other).clamp_min(1e-12)


def _on_the_first(looked: Tensor) -> Tensor:
    """``[N, h, w]``: how much each place looks at the text that all places together look at most."""
    first = looked.mean(dim=(2, 3)).argmax(dim=1)  # [N]
    return looked[torch.arange(len(looked), device=looked.device), first]
