"""What tests do in Argilla beside our own code, over its REST API: make workspaces and people, answer, delete."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx2


@dataclass(frozen=True)
class Annotating:
    """An Argilla server and its owner's key."""

    url: str
    api_key: str = field(repr=False)

    def ask(self, method: str, path: str, body: Any = None, key: str = "", **query: Any) -> Any:
        """Return the JSON of an answer, which must be a good one."""
        headers = {"X-Argilla-Api-Key": key or self.api_key}
        answer = httpx2.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            headers=headers,
            params=query or None,
            timeout=60,
            trust_env=False,
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def workspace(self) -> str:
        """Return the name of a new workspace."""
        name = f"w-{secrets.token_hex(4)}"
        self.ask("POST", "/workspaces", {"name": name})
        return name

    def workspace_id(self, name: str) -> str:
        return str(next(one["id"] for one in self.ask("GET", "/me/workspaces")["items"] if one["name"] == name))

    def person(self, workspace: str, name: str = "", role: str = "annotator") -> dict[str, Any]:
        """Return a new member of a workspace: id, username, api_key, password."""
        name, password = name or f"p-{secrets.token_hex(4)}", secrets.token_hex(8)
        wish = {"first_name": name, "username": name, "password": password, "role": role}
        made = self.ask("POST", "/users", wish)
        self.ask("POST", f"/workspaces/{self.workspace_id(workspace)}/users", {"user_id": made["id"]})
        return {**made, "password": password}

    def dataset(self, workspace: str, name: str) -> dict[str, Any]:
        found = self.ask("GET", "/me/datasets", workspace_id=self.workspace_id(workspace), name=name)["items"]
        return dict(next(one for one in found if one["name"] == name))

    def begin(self, workspace: str, name: str, field: str) -> None:
        """Leave a dataset as a push of ours leaves it that ends after the first field."""
        made = {"name": name, "workspace_id": self.workspace_id(workspace), "metadata": {"made_by": "nestling"}}
        settings = {"type": "text", "use_markdown": field == "record"}
        path = f"/datasets/{self.ask('POST', '/datasets', made)['id']}/fields"
        self.ask("POST", path, {"name": field, "title": "x", "required": True, "settings": settings})

    def records(self, workspace: str, name: str) -> dict[str, dict[str, Any]]:
        """Return the records of a dataset by our ids; there must be none twice."""
        path = f"/datasets/{self.dataset(workspace, name)['id']}/records"
        items = self.ask("GET", path, limit=1000, include="responses,suggestions,vectors")["items"]
        records = {one["external_id"]: one for one in items}
        assert len(records) == len(items)
        return records

    def answer(self, person: dict[str, Any], record: dict[str, Any], values: Any, status: str = "submitted") -> None:
        """Answer a record as a person would, for the first time or again."""
        body = {"values": {name: {"value": value} for name, value in values.items()}, "status": status}
        one = body | {"record_id": record["id"]}
        done = self.ask("POST", "/me/responses/bulk", {"items": [one]}, key=person["api_key"])["items"][0]
        assert done["error"] is None, done

    def found(self, workspace: str, name: str) -> int:
        """Return how many records the search engine holds, which are those that annotators can come to."""
        path = f"/datasets/{self.dataset(workspace, name)['id']}/records/search"
        return int(self.ask("POST", path, {}, limit=1)["total"])
