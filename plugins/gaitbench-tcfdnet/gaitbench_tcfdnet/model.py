"""TCFDNet: silhouettes and LiDAR range images in one space, without what dictionary sentences tell of either sensor.

Axes: N pairs, M sequences of all modalities present, C channels, T frames, K real frames of all of them, H rows, W
columns of frames, h rows and w columns of maps, d width of features, k retrieved sentences, D embedding width, P parts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError
from gaitbench.explaining import Explainable, Finding, Heatmap
from gaitbench.layers import (
    RealFrames,
    SeparateBNNeck,
    SeparateFC,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    widen,
)
from gaitbench.losses import batch_all_triplet, cross_modal_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, clips_of, labels_of, logits_of
from gaitbench.recipe import Stage
from gaitbench.towers.sentence_bank import SentenceBank
from gaitbench_tcfdnet.adapter import Adapter
from gaitbench_tcfdnet.bypass import Bypass
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.dictionary import MODALITIES
from gaitbench_tcfdnet.disentangling import Disentangled, Disentangling, Retrieved, retrieve
from gaitbench_tcfdnet.fusion import MultiGrainedFusion, SpatialWeighting
from gaitbench_tcfdnet.image_tokens import ImageTokens
from gaitbench_tcfdnet.part_losses import alignment, hsic, overlap
from gaitbench_tcfdnet.patch_exchange import draw_exchange, exchange_patches
from gaitbench_tcfdnet.stability import StabilityEnhancement

__all__ = ["TcfdNet"]


class _Clips(NamedTuple):
    """The modalities of a batch, one below the other."""

    present: tuple[str, ...]
    clips: Tensor
    """``[M, 3, T, H, W]``."""
    num_frames: Tensor
    """``[M]``."""

    @property
    def kind(self) -> Tensor:
        """``[M]`` int64: each sequence's modality."""
        numbers = torch.tensor([MODALITIES.index(name) for name in self.present], device=self.clips.device)
        return numbers.repeat_interleave(len(self.clips) // len(self.present))


class _Prototypes(NamedTuple):
    """What was retrieved for M sequences."""

    retrieved: Retrieved
    vectors: Tensor
    """``[M, k, d]``."""


class _Seen(NamedTuple):
    """M sequences on their way through the network."""

    weights: Tensor | None
    """``[M, 1, h, w]`` of the spatial weighting."""
    features: Tensor
    """``[M, d, h, w]``, what both parts come from."""
    prototypes: _Prototypes | None
    parts: Disentangled | None
    shared: Tensor
    """``[M, d, h, w]``: what retrieval of people is made of."""


class TcfdNet(GaitModel, Explainable):
    """CLIP's tokens and a ResNet9 fused, what is the sensor's own put together from sentences and taken away.

    Both sensors go through the same network in one pass. In training, some pairs exchange patches before anything
    sees them, which is why no feature of the frozen tower can be kept. At test time each modality is embedded alone
    from its shared feature. Losses: ``triplet`` (across the sensors, both directions added), ``cross_entropy``,
    ``alignment``, ``orthogonality`` and ``hsic`` (each added over both sensors); one that an ablation leaves nothing to
    compute is 0.

    Source:
        Z. Lu, M. Cheng, "TCFDNet: Text-guided Cross-modal Feature Disentanglement Network", CVPR 2026 (arXiv
        2605.30784), as notes on it tell; what they leave open is ours: the open points of the model's spec.

    Example:
        >>> config = TcfdNetConfig(
        ...     image={"architecture": "open_clip:ViT-B-16",
        ...            "overrides": {"width": 16, "layers": 1, "head_width": 8, "embed_dim": 16}},
        ...     text={"architecture": "hashing"}, channels=(4, 4, 8, 8), heads=2, embedding_width=8, num_classes=3,
        ... )
        >>> model = TcfdNet(config).eval()
        >>> silhouettes = torch.rand(2, 1, 5, 64, 64).round()
        >>> model(GaitBatch({"silhouette": silhouettes}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 8, 16])
    """

    padding = "masked"
    config: TcfdNetConfig

    def __init__(self, config: TcfdNetConfig) -> None:
        super().__init__(config)
        self.tokens = ImageTokens(config) if config.has_tokens or config.has_retrieval else None
        self.bypass = Bypass(config) if config.has_bypass else None
        self.fusion = MultiGrainedFusion(config) if config.has_bypass and config.has_mf else _alone(config.width)
        self.weighting = SpatialWeighting(config) if config.has_sw else None
        self.bank: SentenceBank | None = None
        self.text_adapter: Adapter | None = None
        if config.has_retrieval and config.prototypes == "text":
            self.bank = SentenceBank(
                config.text,
                [sentence for modality in MODALITIES for sentence in config.dictionary.of(modality)],
                shape=(len(MODALITIES), config.dictionary.num_each),
                fields="text and dictionary",
            )
            self.text_adapter = Adapter(
                self.bank.width, config.adapter_width, config.width, has_norm=False, kind=config.adapter
            )
            self._check_spaces()
        self.disentangling = Disentangling(config) if config.has_tfd else None
        self.stability = StabilityEnhancement(config) if config.has_fse else None
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.width, config.embedding_width)
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
        """Weights bring the vectors of sentences along, so that the text tower is not needed."""
        if self.bank is not None and "bank.vectors" in weights:
            self.bank.will_be_loaded()

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, D, P]``.

        With one modality the output is that modality's; with both, ``by_modality`` holds one each, with what the losses
        need, and the embedding is their mean. Padding changes nothing.
        """
        given = self._clips(batch)
        seen = self._see(given)
        embedding = self.head(horizontal_pyramid_pool(seen.shared, self.config.bins))
        # One pass, so that the shared neck normalises both modalities by the same statistics.
        logits = self.neck(embedding).logits
        count = len(given.present)
        told = {name: x.chunk(count) for name, x in self._told(seen).items()}
        outputs = {
            modality: GaitOutput(
                embedding=embedding.chunk(count)[number],
                logits=logits.chunk(count)[number],
                extras={name: parts[number] for name, parts in told.items()},
            )
            for number, modality in enumerate(given.present)
        }
        if count == 1:
            return outputs[given.present[0]]
        return GaitOutput(embedding=torch.stack(embedding.chunk(count)).mean(dim=0), by_modality=outputs)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplets across the modalities, cross-entropy, and what keeps the parts of features apart.

        Raises:
            ModelError: The batch had one modality only, or no labels.
        """
        if set(output.by_modality) != set(MODALITIES):
            raise ModelError(f"TCFDNet trains on {' and '.join(MODALITIES)} together; the batch had one of them")
        config, labels = self.config, labels_of(batch)
        both = [output.by_modality[modality] for modality in MODALITIES]
        across = cross_modal_triplet(both[0].embedding, both[1].embedding, labels, margin=config.margin)
        triplet = across.a_to_b + across.b_to_a
        if config.has_within_triplet:
            triplet = triplet + sum(batch_all_triplet(one.embedding, labels, margin=config.margin) for one in both)
        entropy = [
            part_cross_entropy(logits_of(one), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing)
            for one in both
        ]
        found = dict.fromkeys(("alignment", "orthogonality", "hsic"), output.embedding.new_zeros(()))
        for extras in (one.extras for one in both):
            if "text" in extras:
                found["alignment"] = found["alignment"] + alignment(extras["modality"], extras["text"])
            if "modality" in extras:
                pair = (extras["modality"], extras["shared"])
                if config.hsic_features == "unit":
                    pair = (functional.normalize(pair[0], dim=1), functional.normalize(pair[1], dim=1))
                found["hsic"] = found["hsic"] + hsic(*pair)
                of_each = extras["overlap"]
                of_each = of_each.abs() if config.orthogonality == "absolute" else of_each
                found["orthogonality"] = found["orthogonality"] + of_each.mean()
        return {"triplet": triplet, "cross_entropy": entropy[0] + entropy[1], **found}

    def explain(self, batch: GaitBatch) -> Sequence[Heatmap | Finding]:
        """Tell which sentences were retrieved, and show how much of each place was called the modality's own."""
        given = self._clips(batch)
        seen = self._see(given)
        rows = len(given.clips) // len(given.present)
        num_frames = given.clips.shape[2]
        shown: list[Heatmap | Finding] = []
        for number, modality in enumerate(given.present):
            own = slice(number * rows, (number + 1) * rows)

            def over(title: str, values: Tensor, own: slice = own, modality: str = modality) -> Heatmap:
                # A map of the whole sequence, the same over all its frames.
                return Heatmap(
                    f"{title}, {modality}", modality, widen(values[own])[:, None].expand(-1, num_frames, -1, -1)
                )

            if seen.weights is not None:
                shown.append(over("weight of a place", seen.weights[:, 0]))
            if seen.parts is not None:
                shown.append(over("called modality-specific, share", _share(seen.parts.modality, seen.features)))
                shown.append(Finding(f"gate, {modality}", _gate_sentences(seen.parts, seen.features, own)))
            shown.append(over("strength of the shared feature", widen(seen.shared).norm(dim=1)))
            if seen.prototypes is not None:
                found = Retrieved(*(x[own] for x in seen.prototypes.retrieved))
                shown.append(Finding(f"retrieved, {modality}", self._retrieved_sentences(found, modality)))
        return shown

    def _check_spaces(self) -> None:
        assert self.tokens is not None
        assert self.bank is not None
        if not self.config.is_compared_adapted and self.tokens.width != self.bank.width:
            raise ModelError(
                f"images of {self.config.image.architecture} have {self.tokens.width} numbers and sentences of "
                f"{self.config.text.architecture} {self.bank.width}, and nothing adapts them before they are compared; "
                "take both towers of one CLIP, or compare them behind the adapters (retrieval='adapted', has_mf=true)"
            )

    def _clips(self, batch: GaitBatch) -> _Clips:
        """The modalities of a batch as three channels each; in training with patches exchanged."""
        present = tuple(modality for modality in MODALITIES if modality in batch.inputs)
        if not present:
            raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, not {' or '.join(MODALITIES)}")
        read = [clips_of(batch, modality) for modality in present]
        height, width = self.config.height_px, self.config.width_px
        for modality, (x, _) in zip(present, read, strict=True):
            if x.shape[1] not in (1, 3) or tuple(x.shape[3:]) != (height, width):
                raise ShapeError(
                    f"{modality} must be [N, C, T, {height}, {width}] with 1 or 3 channels, got {list(x.shape)}"
                )
        clips = [x.expand(-1, 3, -1, -1, -1) for x, _ in read]
        if len({x.shape for x in clips}) > 1:
            raise ShapeError(
                f"{' and '.join(present)} must show the same moments of the same walks, got "
                f"{' and '.join(str(list(x.shape)) for x in clips)}"
            )
        config = self.config
        if self.training and config.exchange and len(present) == 2:
            lengths = [counts.tolist() for _, counts in read]
            if lengths[0] != lengths[1]:
                raise ShapeError(
                    f"patches are exchanged between the same moments, and {' and '.join(present)} have {lengths[0]} "
                    f"and {lengths[1]} frames; synchronise the streams, or set exchange=0"
                )
            cells = draw_exchange(
                len(clips[0]), config.exchange_grid, chance=config.exchange, share=config.exchange_share
            )
            clips = list(exchange_patches(clips[0], clips[1], cells))
        num_frames = torch.cat([counts.to(clips[0].device) for _, counts in read])
        return _Clips(present, torch.cat(clips), num_frames)

    def _see(self, given: _Clips) -> _Seen:
        frames = RealFrames.of(given.num_frames, given.clips.shape[2])
        pixels = frames.pick(given.clips)  # [K, 3, H, W]
        tokens, clip = (None, None) if self.tokens is None else self.tokens(pixels, frames)
        maps = self._maps(pixels, tokens, frames, given)
        weights = None if self.weighting is None else self.weighting(maps)
        features = maps if weights is None else weights * maps
        prototypes, parts = None, None
        shared = features
        if self.disentangling is not None:
            if self.config.has_retrieval:
                assert clip is not None
                prototypes = self._prototypes(clip if tokens is None else tokens[:, 0], clip, given.kind)
            parts = self.disentangling(features, None if prototypes is None else prototypes.vectors)
            shared = parts.shared
        if self.stability is not None:
            shared = self.stability(shared)[:, :, None, None] * shared
        return _Seen(weights, features, prototypes, parts, shared)

    def _maps(self, pixels: Tensor, tokens: Tensor | None, frames: RealFrames, given: _Clips) -> Tensor:
        """u, ``[M, d, h, w]``."""
        if self.bypass is None:
            assert self.tokens is not None
            assert tokens is not None
            patches = self.fusion(tokens[:, 1:]).transpose(1, 2)  # [M, d, o]
            patches = patches.reshape(*patches.shape[:2], *self.tokens.map_size)
            return functional.interpolate(patches, self.config.map_px, mode="bilinear", align_corners=False)
        each = frames.num_frames.view(len(given.present), -1).sum(dim=1).tolist()
        seen = self.bypass(pixels, dict(zip(given.present, each, strict=True)))
        local = set_pool(frames.put(seen), frames.num_frames)  # [M, d, h, w]
        if isinstance(self.fusion, MultiGrainedFusion):
            assert tokens is not None
            fused: Tensor = self.fusion(tokens, local)
            return fused
        linear: Tensor = self.fusion(local.movedim(1, -1))
        return linear.movedim(-1, 1)

    def _prototypes(self, token: Tensor, clip: Tensor, kind: Tensor) -> _Prototypes:
        """Retrieve among the prototypes of each sequence's own modality; no gradient comes from the choice."""
        assert self.disentangling is not None
        count = self.config.num_retrieved
        raw = None if self.bank is None else self.bank()  # [m, S, C]
        vectors = self.disentangling.learned
        if raw is not None:
            assert self.text_adapter is not None
            vectors = self.text_adapter(raw)
        assert vectors is not None
        with torch.no_grad():
            if self.config.is_compared_adapted:
                found = retrieve(token, vectors, kind, count)
            else:
                assert raw is not None
                found = retrieve(clip, raw, kind, count)
        return _Prototypes(found, vectors[kind[:, None], found.numbers])

    def _told(self, seen: _Seen) -> dict[str, Tensor]:
        """What the losses read, ``[M, ...]`` each."""
        if seen.parts is None:
            return {}
        modality, shared = seen.parts.modality, seen.shared
        told = {
            "modality": modality.mean(dim=(2, 3)),
            "shared": widen(shared).mean(dim=(2, 3)),
            "overlap": overlap(shared, modality),
        }
        if seen.prototypes is not None and self.bank is not None:
            told["text"] = widen(seen.prototypes.vectors).mean(dim=1)
        return told

    def _retrieved_sentences(self, found: Retrieved, modality: str) -> tuple[str, ...]:
        """For each sequence what was retrieved, the most alike first."""

        def name(index: int) -> str:
            if self.bank is None:
                return f"learned prototype {index}"
            return self.config.dictionary.of(modality)[index]

        return tuple(
            "; ".join(f"{cosine:.3f} {name(index)}" for index, cosine in zip(indices, cosines, strict=True))
            for indices, cosines in zip(found.numbers.tolist(), found.similarity.tolist(), strict=True)
        )


def _alone(width: int) -> nn.Sequential:
    """What is left of the fusion where there is nothing to fuse."""
    layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
    init_parameters(layers)
    return layers


def _share(modality: Tensor, features: Tensor) -> Tensor:
    """``[M, h, w]``: length of the modality's part over that of the feature, place by place."""
    share: Tensor = widen(modality).norm(dim=1) / widen(features).norm(dim=1).clamp_min(1e-12)
    return share


def _gate_sentences(parts: Disentangled, features: Tensor, own: slice) -> tuple[str, ...]:
    gates = widen(parts.gate[own])
    taken = widen(parts.modality[own]).flatten(1).norm(dim=1) / widen(features[own]).flatten(1).norm(dim=1).clamp_min(
        1e-12
    )
    return tuple(
        f"alpha is {gate.mean():.3f} on average, {gate.min():.3f} to {gate.max():.3f} over {len(gate)} channels; "
        f"what is called modality-specific has {share:.1%} of the feature's length"
        for gate, share in zip(gates, taken.tolist(), strict=True)
    )
