"""Argilla's own database: its form, its people and their keys, and the search service filled from it.

The server's Python runs it, which knows none of our code. A wish comes as JSON on standard input, so that no password
stands in a list of processes; what was done goes out so. One process does all: the server's code takes long to load.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from typing import Any

from argilla_server.cli.database.migrate import migrate_db  # type: ignore[import-not-found]
from argilla_server.cli.search_engine.reindex import reindex  # type: ignore[import-not-found]
from argilla_server.contexts import accounts  # type: ignore[import-not-found]
from argilla_server.database import AsyncSessionLocal, async_engine  # type: ignore[import-not-found]
from argilla_server.models import User, Workspace, WorkspaceUser  # type: ignore[import-not-found]
from sqlalchemy.exc import StatementError  # type: ignore[import-not-found]

Wish = dict[str, Any]


def prepare(wish: Wish) -> Wish:
    """Bring the database up to date, fill the search service, and add who is not there."""
    with redirect_stdout(sys.stderr):  # both tell their progress
        migrate_db(revision="head")
        reindex(dataset_id=None)
        asyncio.run(async_engine.dispose())  # what comes next has an event loop of its own
    return _committed(_ensure, wish)


def change(wish: Wish) -> Wish:
    """Give a person another password or another key, and say who there is."""
    return _committed(_change, wish)


def _committed(act: Callable[[Any, Wish], Awaitable[Wish]], wish: Wish) -> Wish:
    async def run() -> Wish:
        async with AsyncSessionLocal() as db:
            try:
                done = await act(db, wish)
                await db.commit()
            except StatementError as error:
                error.hide_parameters = True  # keys and hashes, which belong in no log
                raise
            return done

    return asyncio.run(run())


async def _ensure(db: Any, wish: Wish) -> Wish:
    """Who was there keeps everything."""
    workspace = await _workspace(db, wish["workspace"])
    await _workspace(db, wish["referee_workspace"])
    created = []
    for person in wish["people"]:
        user = await accounts.get_user_by_username(db, person["username"])
        if user is None:
            user = await _add(db, person)
            created.append(person["username"])
        if not user.is_owner and await WorkspaceUser.get_by(db, workspace_id=workspace.id, user_id=user.id) is None:
            await WorkspaceUser.create(db, workspace_id=workspace.id, user_id=user.id, autocommit=False)
    owner = await accounts.get_user_by_username(db, wish["owner"])
    return {"created": created, "api_key": owner.api_key}


async def _workspace(db: Any, name: str) -> Any:
    return await Workspace.get_by(db, name=name) or await Workspace.create(db, name=name, autocommit=False)


async def _add(db: Any, person: dict[str, str]) -> Any:
    name, password = person["username"], accounts.hash_password(person["password"])
    role = person["role"]
    return await User.create(db, first_name=name, username=name, role=role, password_hash=password, autocommit=False)


async def _change(db: Any, wish: Wish) -> Wish:
    user = await accounts.get_user_by_username(db, wish["username"])
    if user is not None and "password" in wish:
        await user.update(db, password_hash=accounts.hash_password(wish["password"]), autocommit=False)
    if user is not None and "api_key" in wish:
        await user.update(db, api_key=wish["api_key"], autocommit=False)
    return {"changed": user is not None, "people": [user.username for user in await accounts.list_users(db)]}


def main() -> None:
    wish = json.loads(sys.stdin.read())
    done = {"prepare": prepare, "change": change}[wish["do"]](wish)
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    main()
