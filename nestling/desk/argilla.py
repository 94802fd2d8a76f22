"""Judging in Argilla: piles become datasets, tasks records; pushing adds what is missing and touches no answer.

Each pile is a dataset of its own, for Argilla asks the same number of people of all records of a dataset. Every step
can be done again: a dataset that was never published is completed, a batch that came through although its answer was
lost is recognised by its record ids, and what is in the database but not in the search index is indexed again.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tqdm import tqdm

from nestling.desk.argilla_forms import Form, given_in, pending_in, positions_to_renew, shown_in, vectors_of
from nestling.desk.argilla_http import ArgillaHttp, RefusedError
from nestling.desk.interface import (
    PILES,
    TO_REFEREES,
    Given,
    PairTask,
    Pile,
    Pulled,
    Pushed,
    RetrievalTask,
    Shown,
    Size,
)
from nestling.desk.settings import ArgillaParams
from nestling.desk.wording import Wording
from nestling.errors import UserError

Task = RetrievalTask | PairTask
_BATCH = 200  # records in a request; the server takes 500
_PAGE = 500  # records read at once
_CONFLICT, _UNPROCESSABLE, _FORBIDDEN = 409, 422, 403


class ArgillaDesk:
    """Where people judge in a browser.

    Raises:
        UserError: the server cannot be reached, or turns down the key or what is asked of it.
    """

    def __init__(self, params: ArgillaParams, wording: Wording, first_wait_s: float = 0.5) -> None:
        self._params, self._wording = params, wording
        self._http = ArgillaHttp(params.tries, params.timeout_s, first_wait_s)
        try:
            self._me = self._ask("GET", "/me")
            self._workspaces = {one["name"]: one["id"] for one in self._ask("GET", "/me/workspaces")["items"]}
        except (KeyError, TypeError):
            self.close()
            raise UserError(f"{self._http.url} answers, but not as Argilla does: correct ARGILLA_API_URL") from None
        except BaseException:
            self.close()
            raise

    def push(self, round_name: str, piles: Sequence[Pile]) -> list[Pushed]:
        """Add the tasks that are missing, pile by pile."""
        return [self._push(f"{round_name}-{pile.name}", pile) for pile in piles]

    def pull(self, round_name: str) -> Pulled:
        """Return everything that people said in a round."""
        given: list[Given] = []
        shown: list[Shown] = []
        sizes = {}
        for name in PILES:
            dataset = self._dataset(f"{round_name}-{name}", name)
            if dataset is None or dataset["status"] != "ready":
                continue
            names, records = self._names(dataset), self._records(dataset, "responses")
            pending = pending_in(records, self._annotators(dataset))
            sizes[name] = Size(len(records), dataset["distribution"]["min_submitted"], pending)
            for record in records:
                given += given_in(record, name, names)
                shown += shown_in(record)
        if not sizes:
            raise UserError(
                f"Argilla at {self._http.url} has no dataset of the round {round_name!r} in the workspace "
                f"{self._params.workspace!r}: `nestling review push` makes them, or correct review.round"
            )
        return Pulled(given, shown, sizes)

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Ask, and tell in a sentence what the server turns down for good."""
        try:
            return self._http.ask(method, path, body, **query)
        except RefusedError as error:
            raise self._told(error) from None

    def _told(self, error: RefusedError) -> UserError:
        if error.status == _FORBIDDEN:
            who = f"{self._me['username']} ({self._me['role']})" if hasattr(self, "_me") else "who asks"
            return UserError(f"Argilla at {self._http.url} does not let {who} do this: use the key of an owner")
        return UserError(f"Argilla at {self._http.url} turns down what was asked (HTTP {error.status}): {error}")

    def _workspace(self, pile: str) -> str:
        name = self._params.referee_workspace if pile in TO_REFEREES else self._params.workspace
        if name not in self._workspaces:
            there = ", ".join(sorted(self._workspaces)) or "none"
            raise UserError(
                f"Argilla at {self._http.url} shows {self._me['username']} no workspace {name!r} (there: {there}): "
                "make it under Settings, or correct review.desk in params.yaml"
            )
        return str(self._workspaces[name])

    def _dataset(self, name: str, pile: str) -> dict[str, Any] | None:
        if pile in TO_REFEREES and self._params.referee_workspace not in self._workspaces:
            return None
        found = self._ask("GET", "/me/datasets", workspace_id=self._workspace(pile), name=name)["items"]
        return next((dict(one) for one in found if one["name"] == name), None)

    # --- datasets

    def _push(self, name: str, pile: Pile) -> Pushed:
        dataset = self._dataset(name, pile.name)
        if not pile.tasks and dataset is None:
            return Pushed(pile.name, 0, 0, "", 0)
        fields = [] if dataset is None else [one["name"] for one in self._items(dataset, "fields")]
        form = Form(pile, self._wording, fields)
        dataset = self._ready(name, pile, form, dataset)
        records = self._records(dataset, "responses")
        there = {record["external_id"] for record in records}
        missing = [task for task in pile.tasks if task.record_id not in there]
        questions = {one["name"]: one["id"] for one in self._items(dataset, "questions")}
        self._add(dataset, missing, partial(form.record_of, question_ids=questions))
        self._renew(dataset, positions_to_renew(records, pile))
        self._index(dataset, pile.tasks)
        queued = {task.record_id for task in pile.tasks}
        past = sum(not record["responses"] and record["external_id"] not in queued for record in records)
        return Pushed(pile.name, len(there), len(missing), self._address(dataset), past)

    def _ready(self, name: str, pile: Pile, form: Form, dataset: dict[str, Any] | None) -> dict[str, Any]:
        """Return the dataset, published and with the form's questions; made where it is missing."""
        if dataset is None:
            dataset = self._made(name, pile, form)
        if dataset["status"] == "draft":
            if (dataset["metadata"] or {}).get("made_by") != "nestling":
                raise UserError(
                    f"Argilla holds an unpublished dataset {name!r} that is not ours: publish, rename or delete it "
                    "there, or choose another review.round"
                )
            dataset = self._completed(dataset, form)  # new, or a push ended here, or a colleague pushes, too
        self._compare(name, dataset, form)
        if dataset["distribution"]["min_submitted"] != pile.people:
            raise UserError(
                f"the dataset {name!r} asks {dataset['distribution']['min_submitted']} people a record and "
                f"shared.people asks {pile.people}: change one of them, or choose another review.round"
            )
        return dataset

    def _made(self, name: str, pile: Pile, form: Form) -> dict[str, Any]:
        body = form.dataset(name, self._workspace(pile.name))
        try:
            made = self._http.ask("POST", "/datasets", body)
        except RefusedError as error:
            if error.status != _CONFLICT:
                raise self._told(error) from None
            made = self._dataset(name, pile.name)  # an earlier try came through, or a colleague was faster
            if made is None:
                raise self._told(error) from None
        return dict(made)

    def _completed(self, dataset: dict[str, Any], form: Form) -> dict[str, Any]:
        path = f"/datasets/{dataset['id']}"
        wanted = form.dataset(dataset["name"], dataset["workspace_id"])
        if dataset["distribution"] != wanted["distribution"]:
            self._ask("PATCH", path, {"distribution": wanted["distribution"]})
        for part, bodies in form.parts():
            there = {one["name"] for one in self._items(dataset, part)}
            for each in bodies:
                if each["name"] not in there:
                    self._create(f"{path}/{part}", each)
        return self._publish(dataset)

    def _create(self, path: str, body: dict[str, Any]) -> None:
        try:
            self._http.ask("POST", path, body)
        except RefusedError as error:
            if error.status != _CONFLICT:
                raise self._told(error) from None

    def _publish(self, dataset: dict[str, Any]) -> dict[str, Any]:
        path = f"/datasets/{dataset['id']}"
        try:
            return dict(self._http.ask("PUT", f"{path}/publish"))
        except RefusedError as error:
            now = self._ask("GET", path)
            if now["status"] != "ready":
                raise self._told(error) from None
            return dict(now)  # an earlier try came through

    def _compare(self, name: str, dataset: dict[str, Any], form: Form) -> None:
        for part, bodies in form.parts():
            there = {one["name"]: one for one in self._items(dataset, part)}
            if complaint := form.complaint(part, bodies, there):
                raise UserError(
                    f"the dataset {name!r} in Argilla does not fit this queue ({complaint}): choose another "
                    "review.round, or rename it there"
                )

    def _items(self, dataset: dict[str, Any], part: str) -> list[dict[str, Any]]:
        own = "/me" if part == "metadata-properties" else ""
        return list(self._ask("GET", f"{own}/datasets/{dataset['id']}/{part}")["items"])

    # --- records

    def _records(self, dataset: dict[str, Any], include: str = "") -> list[dict[str, Any]]:
        """Return all records; read again where they changed in number while pages were turned."""
        for _ in range(self._params.tries):
            pages = list(self._pages(dataset, include))
            records = {record["id"]: record for page in pages for record in page["items"]}
            # one deleted and one that thereby slipped to a page already read would make the last total right
            if all(page["total"] == len(records) for page in pages):
                return list(records.values())
        raise UserError(f"records of {dataset['name']!r} come and go while they are read: try again in a while")

    def _pages(self, dataset: dict[str, Any], include: str) -> Iterator[dict[str, Any]]:
        query, offset = {"include": include} if include else {}, 0
        while True:
            page = self._ask("GET", f"/datasets/{dataset['id']}/records", offset=offset, limit=_PAGE, **query)
            yield page
            if not page["items"]:
                return
            offset += len(page["items"])

    def _add(self, dataset: dict[str, Any], tasks: Sequence[Task], made: Callable[[Task], dict[str, Any]]) -> None:
        with tqdm(total=len(tasks), desc=dataset["name"], unit="record", disable=None) as bar:
            for batch in _batches(tasks):
                self._add_batch(dataset, [made(task) for task in batch])
                bar.update(len(batch))

    def _add_batch(self, dataset: dict[str, Any], records: list[dict[str, Any]]) -> None:
        """Add a batch; of one that is there in part, be it by an answer that was lost or a colleague, the rest."""
        path = f"/datasets/{dataset['id']}/records/bulk"
        try:
            self._http.ask("POST", path, {"items": records})
        except RefusedError as error:
            there = {record["external_id"] for record in self._records(dataset)}
            left = [record for record in records if record["external_id"] not in there]
            if error.status != _UNPROCESSABLE or len(left) == len(records):
                raise self._told(error) from None
            if left:
                self._add_batch(dataset, left)

    def _renew(self, dataset: dict[str, Any], metadata: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(metadata), _BATCH):
            path = f"/datasets/{dataset['id']}/records/bulk"
            self._ask("PUT", path, {"items": metadata[start : start + _BATCH]})

    def _index(self, dataset: dict[str, Any], tasks: Sequence[Task]) -> None:
        """Have the server index again what a crash left in its database alone, where no annotator would see it."""
        total = self._ask("GET", f"/datasets/{dataset['id']}/records", limit=1)["total"]
        path = f"/datasets/{dataset['id']}/records/search"
        found = self._ask("POST", path, {}, limit=1)["total"]
        if found >= total:
            return
        there = {record["external_id"] for record in self._records(dataset)}
        for batch in _batches([task for task in tasks if task.record_id in there]):
            items = [{"external_id": task.record_id, "vectors": vectors_of(task)} for task in batch]
            self._ask("PUT", f"/datasets/{dataset['id']}/records/bulk", {"items": items})

    def _names(self, dataset: dict[str, Any]) -> dict[str, str]:
        """Return the names of those who may have answered, by id."""
        if self._me["role"] == "owner":
            users = self._ask("GET", "/users")["items"]
        else:
            users = self._ask("GET", f"/workspaces/{dataset['workspace_id']}/users")["items"]
        return {one["id"]: one["username"] for one in [*users, self._me]}

    def _annotators(self, dataset: dict[str, Any]) -> dict[str, str]:
        """Return the names of those who are to judge, by id."""
        members = self._ask("GET", f"/workspaces/{dataset['workspace_id']}/users")["items"]
        return {one["id"]: one["username"] for one in members if one["role"] == "annotator"}

    def _address(self, dataset: dict[str, Any]) -> str:
        """Return where to judge, most worth first; Argilla by itself shuffles for each person."""
        by = "metadata.position.asc"
        return f"{self._http.url}/dataset/{dataset['id']}/annotation-mode?page=1&status=pending&sort={by}"


def _batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    for start in range(0, len(tasks), _BATCH):
        yield list(tasks[start : start + _BATCH])
