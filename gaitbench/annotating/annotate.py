"""Annotating a dataset, from names to a file; :func:`gaitbench.annotate` and the command line end here."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gaitbench.annotating.budget import Budget
from gaitbench.annotating.cache import AnswerCache
from gaitbench.annotating.chat import Chat, check_client
from gaitbench.annotating.endpoint import EndpointConfig, open_endpoint
from gaitbench.annotating.estimate import Estimate, estimate_plan
from gaitbench.annotating.files import annotation_path, check_writable, only_writer
from gaitbench.annotating.logs import silent_transport
from gaitbench.annotating.plan import Selected, make_plan
from gaitbench.annotating.result import Annotated
from gaitbench.annotating.retry import Backoff, Clock
from gaitbench.annotating.run import known_records, run_plan
from gaitbench.annotating.schema import SchemaName
from gaitbench.annotating.sheet import SheetConfig
from gaitbench.dataset import GaitDataset
from gaitbench.errors import UsageError
from gaitbench.hub.address import is_address
from gaitbench.hub.known import may_pass_on
from gaitbench.registry import Registry
from gaitbench.specs import DatasetSpec
from gaitbench.store import cache_root, is_prepared, make_builder

if TYPE_CHECKING:
    import httpx2

__all__ = ["annotate_dataset", "estimate_dataset"]

MOST_CONCURRENT = 64


def annotate_dataset(
    registry: Registry,
    schema: SchemaName,
    chosen: Selected,
    sheet: SheetConfig,
    config: EndpointConfig,
    *,
    out: Path | None = None,
    key_variable: str | None = None,
    max_requests: int | None = None,
    max_tokens: int | None = None,
    concurrency: int = 4,
    has_right: bool = False,
    backoff: Backoff | None = None,
    sleep: Callable[[float], object] | None = None,
    rng: random.Random | None = None,
    transport: "httpx2.BaseTransport | None" = None,
) -> Annotated:
    """Ask a model about a dataset and write what it says; see :func:`gaitbench.annotate` for the arguments.

    Args:
        registry: Where names are looked up.
        schema: What is asked.
        chosen: What it is asked about.
        sheet: What is shown.
        config: Who is asked.
        out: File or folder.
        key_variable: Environment variable of the key.
        max_requests: Budget.
        max_tokens: Budget.
        concurrency: Requests at a time.
        has_right: The user may show the frames to others.
        backoff: When to ask again.
        sleep: Waits some seconds; None for real time.
        rng: Of the waits' jitter.
        transport: Carries the requests; None for the network.

    Raises:
        GaitbenchError: As :func:`gaitbench.annotate`.
    """
    check_client()
    if not 1 <= concurrency <= MOST_CONCURRENT:
        raise UsageError(f"--concurrency is 1 to {MOST_CONCURRENT} requests at a time, got {concurrency}.")
    endpoint = open_endpoint(config, key_variable)
    budget = Budget(max_requests, max_tokens)
    shows_people = schema in ("gdf", "attributes") and not has_right
    if shows_people:
        _check_terms(registry, chosen, endpoint.config)
    plan = make_plan(registry, schema, chosen, sheet, endpoint.config)
    if shows_people:
        _check_right(plan.header.dataset, plan.may_pass_on, endpoint.config)
    path = annotation_path(out, plan.name, forbidden=list(plan.forbidden))
    check_writable(path)
    root = cache_root() / "annotations"
    chat = Chat(endpoint, transport=transport)
    try:
        with silent_transport(), only_writer(path, root / "locks"):
            return run_plan(
                plan,
                path,
                chat,
                cache=AnswerCache(root / "answers"),
                budget=budget,
                concurrency=concurrency,
                backoff=backoff,
                clock=Clock(sleep),
                rng=rng,
            )
    finally:
        chat.close()


def estimate_dataset(
    registry: Registry,
    schema: SchemaName,
    chosen: Selected,
    sheet: SheetConfig,
    config: EndpointConfig,
    *,
    out: Path | None = None,
    picture: Path | None = None,
) -> Estimate:
    """Say what :func:`annotate_dataset` would ask; nothing is sent, and no key is needed.

    Args:
        registry: Where names are looked up.
        schema: What is asked.
        chosen: What it is asked about.
        sheet: What is shown.
        config: Who is asked.
        out: File or folder.
        picture: PNG file to draw the example's contact sheet into.

    Raises:
        GaitbenchError: As :func:`gaitbench.annotate`.
    """
    if picture is not None and picture.suffix.lower() != ".png":
        raise UsageError(f"a contact sheet is written as PNG: name the file {picture.with_suffix('.png')}.")
    endpoint = open_endpoint(config, needs_key=False)
    plan = make_plan(registry, schema, chosen, sheet, endpoint.config)
    path = annotation_path(out, plan.name, forbidden=list(plan.forbidden))
    cache = AnswerCache(cache_root() / "annotations" / "answers")
    return estimate_plan(plan, path, endpoint.config, cache=cache, known=known_records(plan, path), sheet=picture)


def _check_terms(registry: Registry, chosen: Selected, config: EndpointConfig) -> None:
    """Ask about the terms before anything is prepared, where a name or a folder tells them."""
    if is_address(chosen.dataset):
        return
    for folder in (Path(chosen.dataset), chosen.source):
        if folder is not None and is_prepared(folder):
            card = GaitDataset.open(folder).card
            break
    else:
        spec = registry.get("dataset", chosen.dataset)
        assert isinstance(spec, DatasetSpec)
        card = make_builder(registry, spec, chosen.source, chosen.options).card()
    _check_right(card.name, may_pass_on(registry, card), config)


def _check_right(name: str, may_pass_on: bool | None, config: EndpointConfig) -> None:
    """Pictures of people leave the house only where their owners let them."""
    if may_pass_on or config.is_local:
        return
    claim = "do not allow" if may_pass_on is False else "do not say"
    raise UsageError(
        f"{name} is not shown to {config.host}: its terms {claim} that it may be passed on (gaitbench info {name}). "
        "Ask a model on your own machine or network, or, if its owner gave you the right, say so: --i-have-the-right, "
        "or has_right=True."
    )
