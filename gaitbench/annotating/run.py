"""The loop of a run: what is known already is taken, the rest is asked in several threads, and the file is written.

Every usable answer goes into the cache at once, so that whatever ends the process loses nothing that was paid for; the
file is written about once a minute, and at the end, also of a run that is interrupted or fails.
"""

import random
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from gaitbench.annotating.asking import Asker, Outcome, Talks
from gaitbench.annotating.budget import Budget
from gaitbench.annotating.cache import Answer, AnswerCache
from gaitbench.annotating.chains import Chain, Question
from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.files import read_annotations, write_annotations
from gaitbench.annotating.plan import Plan
from gaitbench.annotating.records import Annotation, Annotations
from gaitbench.annotating.result import Annotated, problems_of
from gaitbench.annotating.retry import Backoff, Clock
from gaitbench.errors import DatasetError, EndpointError, OutputError
from gaitbench.progress import Tracker, track

__all__ = ["known_records", "run_plan"]

WRITE_EVERY_S = 60.0
GRACE_S = 5.0
"""How long a run that is interrupted waits for answers that are on their way."""
MOST_REASON_CHARS = 300
MOST_SILENT = 3
"""Questions in a row to which the endpoint gave no chat completion at all, before the run gives up."""


def known_records(plan: Plan, path: Path) -> dict[str, Annotation]:
    """The records of the file as it is.

    Raises:
        OutputError: The file holds something else, or annotations of another kind.
    """
    if not path.exists():
        return {}
    try:
        found = read_annotations(path)
    except DatasetError as error:
        raise OutputError(f"{path} is not overwritten: {error}. Choose another --out.") from error
    if differences := plan.header.differences(found.header):
        first = differences[0]
        raise OutputError(
            f"{path} holds annotations with another {first.replace('_', ' ')} "
            f"({clean_text(str(getattr(found.header, first)), 60)}, not "
            f"{clean_text(str(getattr(plan.header, first)), 60)}); choose another --out, or remove it. Answers that "
            "were paid for stay in the cache."
        )
    return {record.sequence_id: record for record in found}


def run_plan(
    plan: Plan,
    path: Path,
    chat: Talks,
    *,
    cache: AnswerCache,
    budget: Budget,
    concurrency: int = 4,
    backoff: Backoff | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> Annotated:
    """Ask what is not known yet, and write the file.

    Args:
        plan: What to ask.
        path: The file; what it holds of other sequences is kept.
        chat: The endpoint.
        cache: Of answers.
        budget: What may be spent.
        concurrency: Requests at a time.
        backoff: When to ask again.
        clock: To wait with.
        rng: Of the waits' jitter.

    Raises:
        EndpointError: The endpoint refuses everything, or cannot be reached; what was answered is in the file.
        OutputError: The file holds something else, or cannot be written.
        DatasetError: Frames cannot be read.
    """
    rng = rng or random.Random()  # noqa: S311
    return _Run(plan, path, chat, cache, budget, concurrency, backoff or Backoff(), clock or Clock(), rng).run()


class _Answered(NamedTuple):
    """What a thread brings back."""

    outcome: Outcome
    error: OutputError | None = None
    """Why the answer is not in the cache."""


class _Run:
    def __init__(
        self,
        plan: Plan,
        path: Path,
        chat: Talks,
        cache: AnswerCache,
        budget: Budget,
        concurrency: int,
        backoff: Backoff,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._plan = plan
        self._path = path
        self._chat = chat
        self._cache = cache
        self._budget = budget
        self._concurrency = concurrency
        self._backoff = backoff
        self._clock = clock
        self._rng = rng
        self._records = known_records(plan, path)
        self._written = dict(self._records)
        self._settled: set[str] = set()
        self._num_from_file = self._num_from_cache = self._num_silent = 0
        self._trouble = ""

    def run(self) -> Annotated:
        entries = self._plan.entries
        with track(len(entries), f"annotate {clean_text(self._plan.header.dataset, 60)}") as bar:
            for sequence_id, reason in self._plan.no_frames.items():
                self._settle(Annotation(sequence_id=sequence_id, status="no-frames", reason=reason), bar)
            try:
                self._ask_all(bar)
            finally:
                self._write()
        settled = [self._records[entry] for entry in entries if entry in self._settled]
        num_ok = sum(record.is_ok for record in settled)
        if self._trouble:
            kept = f"; {num_ok} of {len(entries)} are annotated in {self._path}" if num_ok else ""
            raise EndpointError(f"{self._chat.endpoint.config.host}: {self._trouble}{kept}. Then run the same command.")
        stopped = self._budget.exhausted
        return Annotated(
            path=self._path if self._path.exists() else None,
            header=self._plan.header,
            num_asked_for=len(entries),
            num_ok=num_ok,
            num_from_file=self._num_from_file,
            num_from_cache=self._num_from_cache,
            num_left=len(entries) - len(settled),
            spent=self._budget.spent,
            problems=problems_of(settled),
            stopped=f"{stopped} is reached; the same command goes on" if stopped else "",
        )

    def _ask_all(self, bar: Tracker) -> None:
        asker = Asker(
            self._chat, self._budget, backoff=self._backoff, clock=self._clock, rng=self._rng, tell=bar.update
        )
        # What failed before comes last: questions that an endpoint never answers must not keep others from being asked.
        waiting = deque(sorted(self._plan.chains, key=self._has_failed))
        running: dict[Future[_Answered], tuple[Chain, Question]] = {}
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="annotate")
        next_write_s = self._clock.now() + WRITE_EVERY_S
        try:
            while (waiting or running) and not self._trouble:
                while waiting and len(running) < self._concurrency:
                    chain = waiting.popleft()
                    # Past the limit, what is in the cache is still taken.
                    if (question := self._next(chain, bar)) is not None and not self._budget.exhausted:
                        running[pool.submit(self._answer, asker, question)] = (chain, question)
                for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    chain, question = running.pop(future)
                    if self._collect(chain, question, future.result(), bar):
                        chain.answered(self._records[question.entry].values)
                        waiting.appendleft(chain)
                if (start_s := self._clock.now()) >= next_write_s:
                    self._write()
                    next_write_s = start_s + max(WRITE_EVERY_S, 20 * (self._clock.now() - start_s))
        finally:
            self._clock.stop()
            self._budget.close()
            for future in wait(running, timeout=GRACE_S).done if running else ():
                if not future.cancelled() and future.exception() is None:
                    self._note(*running[future], future.result().outcome, bar)
            pool.shutdown(wait=False, cancel_futures=True)

    def _has_failed(self, chain: Chain) -> bool:
        """Whether the file tells that an answer could not be had."""
        known = (self._records.get(entry) for entry in chain.entries)
        return any(record is not None and not record.is_ok for record in known)

    def _next(self, chain: Chain, bar: Tracker) -> Question | None:
        """The next question of a chain whose answer is not known."""
        while (question := chain.question()) is not None:
            sha256 = question.request.sha256(self._chat.endpoint.config)
            known = self._records.get(question.entry)
            if known is not None and known.is_ok and known.request_sha256 == sha256:
                self._num_from_file += 1
                self._settle(known, bar)
            elif (answer := self._cache.get(sha256, question.request.fields)) is not None:
                self._num_from_cache += 1
                self._settle(self._record(chain, question, answer), bar)
            else:
                return question
            chain.answered(self._records[question.entry].values)
        return None

    def _answer(self, asker: Asker, question: Question) -> _Answered:
        """Ask, in a thread of the pool, and keep what was paid for."""
        outcome = asker.answer(question)
        if outcome.answer is not None:
            try:
                self._cache.put(outcome.answer)
            except OutputError as error:
                return _Answered(outcome, error)
        return _Answered(outcome)

    def _collect(self, chain: Chain, question: Question, answered: _Answered, bar: Tracker) -> bool:
        """Take note of an outcome; tells whether the chain goes on.

        Raises:
            OutputError: The cache cannot be written; the answer itself goes into the file all the same.
        """
        goes_on = self._note(chain, question, answered.outcome, bar)
        if answered.error is not None:
            raise answered.error
        return goes_on

    def _note(self, chain: Chain, question: Question, outcome: Outcome, bar: Tracker) -> bool:
        if outcome.is_stopped:
            return False
        self._num_silent = self._num_silent + 1 if outcome.is_silent else 0
        if outcome.is_stopping or (self._num_silent >= MOST_SILENT and not self._trouble):
            self._trouble = outcome.reason
        if outcome.is_stopping:
            # That none will be answered says nothing of this one.
            return False
        if outcome.answer is not None:
            self._settle(self._record(chain, question, outcome.answer), bar)
            return True
        failed = Annotation(
            sequence_id=question.entry,
            status=outcome.status,
            reason=clean_text(outcome.reason, MOST_REASON_CHARS),
            request_sha256=question.request.sha256(self._chat.endpoint.config),
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            num_requests=outcome.num_requests,
        )
        self._settle(failed, bar)
        return False

    def _record(self, chain: Chain, question: Question, answer: Answer) -> Annotation:
        said = (clean_text(sentence) for sentence in chain.schema.sentences(answer.values))
        return Annotation(
            sequence_id=question.entry,
            status="ok",
            sentences=tuple(sentence for sentence in said if sentence),
            **answer.model_dump(),
        )

    def _settle(self, record: Annotation, bar: Tracker) -> None:
        self._records[record.sequence_id] = record
        self._settled.add(record.sequence_id)
        bar.update("")
        bar.advance()

    def _write(self) -> None:
        """Write the file, where anything is new."""
        if self._records == self._written:
            return
        place = self._plan.order
        records = sorted(
            self._records.values(), key=lambda each: (place.get(each.sequence_id, len(place)), each.sequence_id)
        )
        write_annotations(self._path, Annotations(header=self._plan.header, records=tuple(records)))
        self._written = dict(self._records)
