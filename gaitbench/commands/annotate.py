"""``annotate``: descriptions of walks by a multimodal LLM."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gaitbench.commands.interrupts import import_torch
from gaitbench.commands.shell import AsJson, Command, echo, echo_json, pairs, words
from gaitbench.errors import UsageError

__all__ = ["add_to"]

Texts = list[str] | None
Number = int | None


def add_to(app: typer.Typer) -> None:
    """Add the command to an app."""
    app.command("annotate", cls=Command)(annotate_command)


def annotate_command(
    dataset: Annotated[str, typer.Argument(help="A dataset, the folder of a prepared one, or hf:ORG/NAME.")],
    schema: Annotated[
        Literal["gdf", "attributes", "gmtd", "prompts"],
        typer.Option(
            "--schema",
            help="gdf (gait description factors), attributes (of the dataset's card), gmtd (text dictionary), prompts.",
        ),
    ],
    model: Annotated[str, typer.Option("--model", help="As the endpoint calls it.")],
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", help="Any OpenAI-compatible endpoint; OPENAI_BASE_URL or OpenAI's without it."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "--source", help="Folder of the official files, or of a prepared dataset."),
    ] = None,
    option: Annotated[Texts, typer.Option("--option", help="key=value of the dataset, one or several.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .parquet or .json file, or a folder; annotations/ without it.")
    ] = None,
    split: Annotated[
        Literal["train", "test", "all"], typer.Option("--split", help="Of the dataset's default protocol.")
    ] = "all",
    views: Annotated[
        Texts, typer.Option("--views", help="Only these views, one or several patterns; directions for gmtd.")
    ] = None,
    modalities: Annotated[
        Texts, typer.Option("--modalities", help="Streams shown, one or several; those that a dictionary is about.")
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=1, max=48, help="Of each stream on a contact sheet.")] = 12,
    rounds: Annotated[Number, typer.Option("--rounds", min=1, help="Of gmtd (8 without it) and prompts (4).")] = None,
    max_requests: Annotated[
        Number, typer.Option("--max-requests", min=1, help="Stop after so many requests, failed ones among them.")
    ] = None,
    max_tokens: Annotated[
        Number, typer.Option("--max-tokens", min=1, help="Stop before more tokens are used, in and out together.")
    ] = None,
    max_answer_tokens: Annotated[int, typer.Option("--max-answer-tokens", min=1, help="Longest answer.")] = 2000,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=64, help="Requests at a time.")] = 4,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for an answer.")] = 120.0,
    answer_format: Annotated[
        Literal["json_schema", "json_object", "text"],
        typer.Option("--answer-format", help="How JSON is asked for, as the endpoint can."),
    ] = "json_schema",
    setting: Annotated[
        Texts, typer.Option("--set", help="key=value of the requests, such as temperature=0, one or several.")
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", help="Environment variable of the key; OPENAI_API_KEY without it, '' for none."),
    ] = None,
    has_right: Annotated[
        bool,
        typer.Option("--i-have-the-right", help="Show frames to others although the terms forbid it or say nothing."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: show how many requests, an example, and tokens.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="With --dry-run: draw the example's contact sheet into this PNG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a multimodal LLM describe walks; run it again to go on. Exit code 1 when any walk is left without."""
    if sheet is not None and not dry_run:
        raise UsageError("--sheet belongs to --dry-run, which shows an example.")
    if schema in ("gdf", "attributes"):
        import_torch()  # frames need it, texts do not
    from gaitbench import api

    if dry_run:
        estimate = api.estimate_annotation(
            dataset,
            schema,
            model,
            base_url=base_url,
            data=data,
            options=pairs(option, "--option"),
            out=out,
            split=split,
            views=words(views),
            modalities=words(modalities),
            rounds=rounds,
            frames=frames,
            answer_format=answer_format,
            max_answer_tokens=max_answer_tokens,
            set=pairs(setting, "--set"),
            sheet=sheet,
        )
        echo_json(estimate) if as_json else echo(str(estimate))
        return
    done = api.annotate(
        dataset,
        schema,
        model,
        base_url=base_url,
        data=data,
        options=pairs(option, "--option"),
        out=out,
        split=split,
        views=words(views),
        modalities=words(modalities),
        rounds=rounds,
        frames=frames,
        max_requests=max_requests,
        max_tokens=max_tokens,
        concurrency=concurrency,
        api_key_env=api_key_env,
        answer_format=answer_format,
        max_answer_tokens=max_answer_tokens,
        timeout_s=timeout,
        set=pairs(setting, "--set"),
        has_right=has_right,
    )
    if as_json:
        echo_json(done)
    else:
        echo(str(done))
    if not done.is_complete:
        raise typer.Exit(1)
