"""LMGait: colour clips, a frozen image tower, a text that says where to look, and a module that sees motion.

Axes: N batch, C channels, T frames, K real frames of all clips, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ModelError
from gaitbench.explaining import Explainable, Finding, Heatmap, activation_heatmap
from gaitbench.frozen import FrozenFeatures
from gaitbench.layers import (
    MaskHead,
    RealFrames,
    ResNet9,
    SeparateBNNeck,
    SeparateFC,
    TwoStreamTrunk,
    appearance_branch,
    choose_foreground,
    clean_mask,
    fit_frame,
    horizontal_pyramid_pool,
    on_vectors,
    padding_mask,
    pick_pixels,
    put_pixels,
    set_pool,
)
from gaitbench.losses import (
    batch_all_triplet,
    channel_diversity,
    part_cross_entropy,
    sobel_smoothness,
    spatial_entropy,
)
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import Stage
from gaitbench.towers.frame_encoder import FrameEncoder, FrameMaps
from gaitbench_lmgait.config import LMGaitConfig
from gaitbench_lmgait.feature_branch import FeatureBranch
from gaitbench_lmgait.mtcm import MotionTemporalCapture, TemporalConv
from gaitbench_lmgait.semantic_attention import SemanticAttention
from gaitbench_lmgait.text_side import StoredText, TextSide

__all__ = ["LMGait"]

SILHOUETTE = "silhouette-raw"
_STORED = "text.vector"


class _Person(NamedTuple):
    """Where the decoder finds the person."""

    logits: Tensor
    """``[K, 2, H, W]`` of background and person."""
    probability: Tensor
    """``[K, 1, H, W]`` of the person."""


class LMGait(GaitModel, Explainable):
    """Features of a frozen image tower, weighed by a text, masked and reduced to a few channels, then seen over time.

    Training reads silhouettes in the frame of the crops; test sequences are embedded from colours alone. After training
    :meth:`seal` replaces the text side by its vector. Losses: ``triplet``, ``cross_entropy``, ``silhouette``,
    ``smoothness``, ``diversity``. In a stage that freezes all but decoder and encoder, nothing behind the decoder is
    computed and ``silhouette`` is the only loss.

    Source:
        Wu et al., "Language-Guided and Motion-Aware Gait Representation for Generalizable Recognition", arXiv
        2601.11931; the representation extractor follows Ye et al., "BigGait", CVPR 2024.

    Example:
        >>> config = LMGaitConfig(
        ...     image={"architecture": "vit_small_patch14_dinov2",
        ...            "overrides": {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 56}},
        ...     text={"architecture": "ViT-B-32", "overrides": {"width": 16, "heads": 2, "layers": 2}},
        ...     image_px=(56, 28), layers=(1, 2), rgb_px=(64, 32), ratio="frame", map_px=(16, 8), branch_width=8,
        ...     silhouette_px=(64, 32), silhouette_form="padded", channels=(4, 4, 8, 8), strides=(1, 1, 1, 1),
        ... )
        >>> model = LMGait(config).eval()
        >>> model(GaitBatch({"rgb": torch.rand(2, 3, 4, 64, 32)}, {"rgb": torch.tensor([4, 3])})).embedding.shape
        torch.Size([2, 256, 16])
    """

    padding = "masked"
    needs_own_losses = True
    config: LMGaitConfig

    def __init__(self, config: LMGaitConfig) -> None:
        super().__init__(config)
        self.encoder = FrameEncoder(config, reads_last=config.has_text or config.decoder_features == "last")
        width, stacked = self.encoder.width, self.encoder.stacked_width
        self.text: TextSide | StoredText | None = None
        self.attention: SemanticAttention | None = None
        if config.has_text:
            self.text = TextSide(config, width)
            self.attention = SemanticAttention(config)
        self.decoder = MaskHead(width if config.decoder_features == "last" else stacked, dropout=config.decoder_dropout)
        self.branch = FeatureBranch(stacked, config.branch_width, config.out_channels)
        self.appearance = appearance_branch(stacked, config.out_channels) if config.two_stream else None
        self.motion = _motion(config)
        sizes = {"channels": config.channels, "strides": config.strides}
        trunk = TwoStreamTrunk if config.two_stream else ResNet9
        self.trunk = trunk(config.out_channels, **sizes)
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Colour crops in [0, 1], the aspect ratio where it is read, and, for training, silhouettes in [0, 1]."""
        height, width = self.config.silhouette_px
        silhouette = InputSpec(modality=SILHOUETTE, height_px=height, width_px=width, is_for_training=True)
        return (*self.encoder.inputs, silhouette)

    @property
    def frozen_features(self) -> FrozenFeatures | None:
        """Those of the image tower, where it is frozen."""
        return self.encoder.frozen_features

    def seal(self) -> None:
        """Replace the text side by its vector, unless the image gates it, so that neither tower nor modules are saved.

        Embeddings stay as they are to the last bit: the text is the same for every video, and is encoded in float32.
        """
        if isinstance(self.text, TextSide) and not self.config.has_mam_gate:
            was_training = self.training
            self.eval()
            with torch.no_grad():
                self.text = StoredText(self.text())
            self.train(was_training)

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        """Drop the text side where the weights are those of a sealed model, and bring it back where they are not."""
        if self.text is None:
            return
        if _STORED in weights:
            # Of the size that the configuration asks for, so that another one is refused as other weights are.
            stored = weights[_STORED]
            num_vectors = stored.shape[1] if stored.dim() == 3 and self.config.text_form == "tokens" else 1
            self.text = StoredText(self.head.weight.new_empty(1, num_vectors, self.encoder.width))
        elif isinstance(self.text, StoredText):
            self.text = TextSide(self.config, self.encoder.width).to(self.head.weight.device)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed crops ``[N, 3, T, H, W]``, or kept features of them, as ``[N, D, P]``; padding changes nothing."""
        config = self.config
        frames = self.encoder.real_frames(batch)
        maps, _ = self._looked_at(batch, frames)
        person = self._person(maps)
        extras = (
            {"silhouette": self._silhouette_loss(person.logits, maps.ratio, batch, frames)} if self.training else {}
        )
        num_parts = sum(config.bins)
        if self.training and not self._is_behind_decoder_trained():
            nothing = maps.last.new_zeros(frames.num_clips, config.embedding_width, num_parts)
            return GaitOutput(embedding=nothing, extras=extras)
        mask = self._mask(person)
        representation = self.branch(maps.layers, mask)
        if self.training:
            extras |= {name: x.expand(frames.num_clips) for name, x in self._shape_losses(representation).items()}
        moved = self._moved(representation, frames)
        if self.appearance is None:
            features = self.trunk(moved)
        else:
            features = self.trunk(*self._blacken(moved, self._appearance(maps, mask), frames))
        pooled = set_pool(frames.put(features), frames.num_frames)
        embedding = self.head(horizontal_pyramid_pool(pooled, config.bins))
        return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits, extras=extras)

    def embed_raw(self, x: Tensor, ratio: Tensor | None = None) -> Tensor:
        """Embed what networks of BigGait's family are fed.

        Args:
            x: ``[N, T, 3, H, W]`` crops (256 x 128 as published), standardised with ImageNet's mean and deviation.
            ratio: ``[N, T]`` width over height of the person's box; None for that of the crops.

        Returns:
            ``[N, D, P]``.
        """
        output: GaitOutput = self(self.encoder.raw_batch(x, ratio))
        return output.embedding

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        """Triplets and cross-entropy on the parts, and what decoder and branch are asked for.

        Raises:
            ModelError: The batch is not from training, or no silhouette of it shows anybody.
        """
        config, labels = self.config, labels_of(batch)
        found = {}
        if "silhouette" in output.extras and stage.loss_weights.get("silhouette", 1.0):
            total, count = output.extras["silhouette"].sum(dim=0)
            if not count > 0:
                raise ModelError(
                    f"no frame of the batch has a person in {SILHOUETTE}, which the decoder learns from; prepare the "
                    "dataset with its masks, or give the loss 'silhouette' weight 0"
                )
            found["silhouette"] = total / count
        found |= {name: output.extras[name].mean() for name in ("smoothness", "diversity") if name in output.extras}
        if output.logits is None and found:
            return found
        return {
            "triplet": batch_all_triplet(output.embedding, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
            **found,
        }

    def explain(self, batch: GaitBatch) -> Sequence[Heatmap | Finding]:
        """Show where the text looks, where the decoder sees the person, the representation's channels, and motion."""
        frames = self.encoder.real_frames(batch)
        maps, attention = self._looked_at(batch, frames)
        mask = self._mask(self._person(maps))
        representation = self.branch(maps.layers, mask)
        number = (representation.argmax(dim=1, keepdim=True) + 1) * (mask > 0)
        shown = [
            Heatmap("person", "rgb", frames.put(mask)[:, 0].float(), (0.0, 1.0)),
            Heatmap(
                "channel of the representation",
                "rgb",
                frames.put(number.float())[:, 0],
                (0.0, float(self.config.out_channels)),
            ),
        ]
        if attention is not None and attention.shape[2:] != (1, 1):
            shown.insert(0, Heatmap("semantic attention", "rgb", frames.put(attention)[:, 0].float()))
        if self.motion is not None:
            moved = frames.put(self._moved(representation, frames))
            shown.append(activation_heatmap("motion", "rgb", moved))
        return shown

    def _looked_at(self, batch: GaitBatch, frames: RealFrames) -> tuple[FrameMaps, Tensor | None]:
        """The image tower's maps, weighed by the text, and the weights."""
        maps = self.encoder(batch, frames)
        if self.text is None or self.attention is None:
            return maps, None
        text = self.text(self._clip_means(maps.last, frames) if self.config.has_mam_gate else None)
        if len(text) > 1:
            text = text[frames.clip]
        weights = self.attention.mask(text, maps.last)
        attended = self.config.attended
        last = maps.last if attended == "layers" else self.attention.weigh(maps.last, weights)
        layers = maps.layers if attended == "last" else self.attention.weigh(maps.layers, weights)
        return FrameMaps(last, layers, maps.ratio), weights

    def _clip_means(self, last: Tensor, frames: RealFrames) -> Tensor:
        """``[N, D]``: each clip's mean over frames and pixels."""
        means = last.float().mean(dim=(2, 3))  # [K, D]
        total = means.new_zeros(frames.num_clips, means.shape[1]).index_add(0, frames.clip, means)
        return total / frames.num_frames[:, None].to(total)

    def _person(self, maps: FrameMaps) -> _Person:
        config = self.config
        features = maps.last if config.decoder_features == "last" else maps.layers
        tokens = features.movedim(1, -1)  # [K, h, w, C]
        logits = on_vectors(self.decoder, tokens.flatten(0, 2)).float().view(*tokens.shape[:3], 2).movedim(-1, 1)
        # A linear map and enlarging may change places, so that two channels are enlarged and not all of the tower's.
        logits = functional.interpolate(logits, config.map_px, mode="bilinear", align_corners=False)
        share = logits.softmax(dim=1)
        if config.is_auto_swapped:
            return _Person(logits, choose_foreground(share, border_rows=config.border_rows))
        return _Person(logits, share[:, 1:])

    def _mask(self, person: _Person) -> Tensor:
        """``[K, 1, H, W]`` that features are multiplied by."""
        probability = person.probability if self.config.has_mask_gradient else person.probability.detach()
        return clean_mask(probability, self.config.mask_use)

    def _moved(self, representation: Tensor, frames: RealFrames) -> Tensor:
        """``[K, C, H, W]`` that has seen the frames before and behind."""
        if self.motion is None:
            return representation
        clips = frames.put(representation)
        is_padding = padding_mask(frames.num_frames, frames.clip_frames)
        if isinstance(self.motion, MotionTemporalCapture):
            return frames.pick(self.motion(clips, is_padding))
        return frames.pick(self.motion(clips))

    def _appearance(self, maps: FrameMaps, mask: Tensor) -> Tensor:
        assert self.appearance is not None
        where = mask > 0
        pixels = pick_pixels(maps.layers, where) * mask.permute(0, 2, 3, 1)[where[:, 0]]
        return put_pixels(on_vectors(self.appearance, pixels).float(), where)

    def _blacken(self, first: Tensor, second: Tensor, frames: RealFrames) -> tuple[Tensor, Tensor]:
        """Take one of the two streams away from some training sequences."""
        if not self.training or not self.config.black:
            return first, second
        draw = torch.rand(frames.num_clips, 2, device=first.device)
        is_black, is_first = draw[:, 0] < self.config.black, draw[:, 1] < 0.5
        keeps = torch.stack([~(is_black & is_first), ~(is_black & ~is_first)])  # [2, N]
        of_frame = keeps[:, frames.clip, None, None, None].to(first.dtype)  # [2, K, 1, 1, 1]
        return first * of_frame[0], second * of_frame[1]

    def _silhouette_loss(self, logits: Tensor, ratio: Tensor, batch: GaitBatch, frames: RealFrames) -> Tensor:
        """``[N, 2]``: of each clip the binary cross-entropy added over frames that have a mask, and their number.

        Clips are kept apart, so that devices can put theirs together.
        """
        config = self.config
        if SILHOUETTE not in batch.inputs:
            raise ModelError(
                f"the batch holds {', '.join(batch.inputs)}, but training reads {SILHOUETTE}, too: the decoder learns "
                "from silhouettes"
            )
        masks = frames.pick(batch.inputs[SILHOUETTE])
        masks = fit_frame(masks, config.map_px, ratio.float(), form=config.silhouette_form, mode="nearest")
        is_person = masks[:, 0] > config.silhouette_threshold  # [K, H, W]
        of_pixel = functional.cross_entropy(logits, is_person.long(), reduction="none")
        has_mask = is_person.flatten(1).any(dim=1).to(of_pixel)  # [K]
        of_frame = torch.stack([of_pixel.mean(dim=(1, 2)) * has_mask, has_mask], dim=1)
        return of_frame.new_zeros(frames.num_clips, 2).index_add(0, frames.clip, of_frame)

    def _shape_losses(self, representation: Tensor) -> dict[str, Tensor]:
        config = self.config
        smooth = representation[:, :-1] if config.smoothness_channels == "all-but-last" else representation
        diversity = channel_diversity if config.diversity == "channels" else spatial_entropy
        return {"smoothness": sobel_smoothness(smooth), "diversity": diversity(representation)}

    def _is_behind_decoder_trained(self) -> bool:
        return any(
            weight.requires_grad
            for name, weight in self.named_parameters()
            if not name.startswith(("encoder.", "decoder."))
        )


def _motion(config: LMGaitConfig) -> MotionTemporalCapture | TemporalConv | None:
    match config.temporal:
        case "mtcm":
            return MotionTemporalCapture(
                config.out_channels,
                has_pte=config.has_pte,
                has_rte=config.has_rte,
                has_pte_conv=config.has_pte_conv,
                has_rte_difference=config.has_rte_difference,
                has_rte_conv=config.has_rte_conv,
                fusion=config.fusion,
                last_difference=config.last_difference,
            )
        case "conv3d":
            return TemporalConv(config.out_channels, config.out_channels, (3, 3, 3))
        case "none":
            return None
