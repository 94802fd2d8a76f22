"""The check of Argilla, which people review in; no build needs it, so that it is never a `no`."""

import os

from nestling.doctor.facts import Facts, at
from nestling.doctor.findings import ARGILLA_KEY, Finding, lack
from nestling.doctor.network import get, shown

ARGILLA_URL = "ARGILLA_API_URL"


def check_argilla(_: Facts) -> Finding:
    """Say whether Argilla answers, and to whom."""
    url, key = os.environ.get(ARGILLA_URL, "").rstrip("/"), os.environ.get(ARGILLA_KEY, "")
    if not url:
        return Finding("--", f"{ARGILLA_URL} is not set: only for reviewing in a browser")
    said, about = get(f"{url}/api/v1/version", {})
    if not (version := at(about, "version")):
        way_out = f"start it (`make argilla`), or correct {ARGILLA_URL}"
        return lack(f"none at {shown(url)} ({said})", way_out, wanted=False)
    told = f"{version} at {shown(url)}"
    if not key:
        return lack(f"{told}; {ARGILLA_KEY} is not set", f"export {ARGILLA_KEY}=...", wanted=False)
    said, me = get(f"{url}/api/v1/me", {"X-Argilla-Api-Key": key})
    if not (person := at(me, "username")):
        found = f"{told}; it does not take {ARGILLA_KEY} ({said})"
        return lack(found, "copy the key from `My settings` in Argilla", wanted=False)
    return Finding("ok", f"{told}, as {person} ({at(me, 'role')})")
