"""Weights of towers: from the hub, from a file, or drawn from a seed; and what names them.

Axes: H rows and W columns of tokens, D width.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from gaitbench.checkpoint import apply_weights
from gaitbench.digest import canonical_json, file_digest
from gaitbench.errors import ModelError, RecordError
from gaitbench.hub.connection import hub_endpoint, is_offline
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.left_out import are_weights_left_out
from gaitbench.weights import read_checkpoint

__all__ = [
    "HubFile",
    "Published",
    "drawn",
    "fetch",
    "load_published",
    "published_weights",
    "resample_positions",
    "square_grid",
    "tower_digest",
]

_Network = TypeVar("_Network", bound=nn.Module)


class HubFile(NamedTuple):
    """Where the hub keeps the weights of an architecture."""

    repository: str
    """``ORG/NAME``."""
    names: tuple[str, ...]
    """Files that may hold them, the best first."""


class Published(NamedTuple):
    """Weights that somebody else trained, under their names."""

    tensors: dict[str, Tensor]
    source: str
    """For the record: repository, commit and file; or the file's name and hash."""
    where: str
    """For messages: the path."""


def drawn(build: Callable[[], _Network], seed: int | None) -> _Network:
    """Build a network with initial weights that depend on the seed alone, without a draw from the global generator.

    Args:
        build: Makes the network.
        seed: For the generator of the CPU, where the weights are drawn whatever the default device is. Only on the
            meta device nothing is drawn. None for weights that are trained with a model: they are drawn from the
            global generator like the model's own layers, so that each seed of a run starts from others.

    Returns:
        The network, on the default device, in float32.
    """
    device = torch.get_default_device()
    state, dtype = torch.default_generator.get_state(), torch.get_default_dtype()
    try:
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        torch.set_default_dtype(torch.float32)
        with device if device.type == "meta" else torch.device("cpu"):
            network = build()
    finally:
        if seed is not None:
            torch.default_generator.set_state(state)
        torch.set_default_dtype(dtype)
    return network.to(device)


def published_weights(
    config: TowerConfig, hub: Callable[[], HubFile], numbers: Collection[str] = ()
) -> Published | None:
    """Read the weights of a tower.

    Args:
        config: Of the tower.
        hub: Tells where the hub keeps them.
        numbers: Keys that may hold plain numbers.

    Returns:
        None where there are none to read: for untrained towers, in a block of
        :func:`gaitbench.towers.left_out.weights_left_out`, and on the meta device.

    Raises:
        ModelError: The hub cannot be reached or has no such file; the file is not the one that was hashed, or no
            checkpoint.
    """
    if config.weights == "untrained" or are_weights_left_out() or torch.get_default_device().type == "meta":
        return None
    if config.path is None:
        location = hub()
        path, name = fetch(location, config.revision)
        source = f"{location.repository}@{config.revision}/{name}"
    else:
        path, source = config.path, f"{config.path.name}, sha256 {config.sha256}"
        _check_digest(path, config)
    try:
        return Published(read_checkpoint(path, numbers=numbers), source, str(path))
    except RecordError as error:
        advice = ""
        if "TorchScript" in str(error):
            advice = ". It is a TorchScript archive: save torch.jit.load(FILE, map_location='cpu').state_dict() instead"
        raise ModelError(f"the weights of {config.architecture} cannot be read: {error}{advice}") from error


def load_published(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Copy published weights into a network.

    Args:
        network: The tower.
        weights: Under the network's own names.
        where: Their file, for messages.

    Raises:
        ModelError: Names are missing or unexpected, shapes differ, or values are no finite fractions; all are listed.
    """
    apply_weights(network, weights, where)
    expected = network.state_dict()
    broken = [
        f"{name} holds {weights[name].dtype}"
        for name, value in expected.items()
        if value.is_floating_point() and not weights[name].is_floating_point()
    ]
    broken += [f"{name} holds NaN or infinity" for name, value in expected.items() if not bool(value.isfinite().all())]
    if broken:
        raise ModelError(f"{where} holds what is no weight: {'; '.join(broken)}. Fetch it again")


def fetch(location: HubFile, revision: str) -> tuple[Path, str]:
    """Download a file of the hub, or find it in the hub's cache. ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are respected.

    Args:
        location: Where it is.
        revision: Commit.

    Returns:
        The path in the cache, and the name in the repository.

    Raises:
        ModelError: The hub cannot be reached, or none of the files is there.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RevisionNotFoundError,
    )

    for name in location.names:
        try:
            path = hf_hub_download(
                location.repository,
                name,
                revision=revision,
                endpoint=hub_endpoint(),
                library_name="gaitbench",
                local_files_only=is_offline(),
            )
            return Path(path), name
        except LocalEntryNotFoundError as error:
            # A kind of EntryNotFoundError, and says nothing of what the repository has.
            reason = "HF_HUB_OFFLINE is set" if is_offline() else f"{hub_endpoint()} cannot be reached"
            raise _unfetched(location, revision, f"{reason}, and it was not fetched before") from error
        except EntryNotFoundError:
            continue
        except RevisionNotFoundError as error:
            raise ModelError(
                f"cannot fetch {name} of {location.repository} at commit {revision}: the hub knows no such commit "
                f"(Revision Not Found). {hub_endpoint()}/{location.repository}/commits/main lists those that it has: "
                "give one as the tower's revision, or the file itself: weights='file', path='FILE'"
            ) from error
        except (HfHubHTTPError, OSError, ValueError) as error:
            said = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise _unfetched(location, revision, f"{type(error).__name__}: {' '.join(said[:2])}") from error
    raise ModelError(
        f"{location.repository} has none of {', '.join(location.names)} at commit {revision}; give the commit of "
        "another version, or the file itself: weights='file', path='FILE'"
    )


def _unfetched(location: HubFile, revision: str, reason: str) -> ModelError:
    name = location.names[0]
    command = f"hf download {location.repository} {name} --revision {revision} --local-dir FOLDER"
    return ModelError(
        f"cannot fetch {name} of {location.repository} at commit {revision} from the model hub ({reason}). On a "
        f"machine that reaches it: {command}; then "
        f"configure the tower with weights='file', path='FOLDER/{name}'"
    )


def _check_digest(path: Path, config: TowerConfig) -> None:
    try:
        found = file_digest(path)
    except OSError as error:
        raise ModelError(
            f"cannot read the weights of {config.architecture}, {path}: {error.strerror}; put the file with sha256 "
            f"{config.sha256[:12]}... there, or give its path"
        ) from error
    if found != config.sha256:
        raise ModelError(
            f"{path} is not the file that was configured for {config.architecture}: its sha256 is {found[:12]}..., "
            f"not {config.sha256[:12]}...; restore it, or configure the tower anew"
        )


def resample_positions(table: Tensor, old: Sequence[int], new: Sequence[int], *, num_prefix: int) -> Tensor:
    """Fit a table of positions to another grid of tokens: bicubic, with the smoothing that shrinking needs.

    Args:
        table: ``[num_prefix + H*W, D]``: class and register tokens, which are kept, and the grid row by row.
        old: H and W of the table.
        new: H and W wanted.
        num_prefix: Tokens that have no place in the grid.

    Returns:
        ``[num_prefix + H'*W', D]``; the table itself when the grids are the same.

    Source:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, section 3.2 (2D interpolation of the position
        embeddings). The kernel is the one that timm and open_clip use.

    Example:
        >>> table = torch.zeros(1 + 37 * 37, 384)
        >>> resample_positions(table, (37, 37), (32, 16), num_prefix=1).shape
        torch.Size([513, 384])
    """
    if tuple(old) == tuple(new):
        return table
    prefix, grid = table[:num_prefix], table[num_prefix:]
    maps = grid.float().T.reshape(1, -1, *old)  # [1, D, H, W]
    maps = nn.functional.interpolate(maps, size=tuple(new), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([prefix, maps[0].flatten(1).T.to(table.dtype)])


def square_grid(num_tokens: int, where: str) -> tuple[int, int]:
    """H and W of a published table of positions, which says only how many tokens it has.

    Raises:
        ModelError: They make no square.
    """
    side = math.isqrt(num_tokens)
    if side * side != num_tokens or not side:
        raise ModelError(
            f"the table of positions in {where} has {num_tokens} tokens in its grid, and only square grids can be "
            "resampled; resample it before, or build the tower with the grid of the file (overrides)"
        )
    return side, side


def tower_digest(config: TowerConfig, weights: Mapping[str, Tensor]) -> str:
    """Hash what determines a tower's output: architecture, overrides, and weights by name, shape and value.

    Args:
        config: Where the weights come from does not count, nor in which file or precision they were kept.
        weights: Name to tensor; on the meta device there is nothing to hash.

    Returns:
        Hexadecimal sha256, empty for the meta device.
    """
    digest = hashlib.sha256(canonical_json([config.architecture, config.overrides]).encode())
    for name in sorted(weights):
        tensor = weights[name].detach()
        if tensor.is_meta:
            return ""
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.to("cpu", torch.float32).contiguous().numpy().data)
    return digest.hexdigest()
