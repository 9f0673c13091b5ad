"""Requests of clients that cannot be run here, from the tables in requests/: each step is sent and its answer compared.

A table runs once for each of its api-versions, in a resource group of its own. `{name}` stands for a value: of the run, or kept
from an earlier answer. What is expected is named by JSON pointers, `header x` for a header; `matches` is a regular expression,
`same_id` compares as ARM ids compare, `present` says whether it is there at all.
"""

import json
import re
import time
import uuid
from pathlib import Path

from harness import Failure, case

TABLES = Path(__file__).resolve().parent.parent / "requests"


def replay(t, table, version):
    group = t.group()
    values = {
        "subscription": t.subscription, "group": group, "group_id": t.group_id(group), "name": t.name, "version": version,
        "guid": str(uuid.uuid4()), "guid2": str(uuid.uuid4()), "principal": principal(t),
    }
    for number, step in enumerate(table["steps"], 1):
        what = f"step {number}, {step['what']}"
        headers = {name: fill(value, values) for name, value in step.get("headers", {}).items()}
        answer = t.arm(step["method"], fill(step["path"], values), body(step.get("body"), values), headers)
        if answer.status not in step["status"]:
            raise Failure(f"{what}: expected status {step['status']}, seen {answer}")
        if step.get("poll"):
            finished(t, what, answer)
        for pointer, expected in step.get("expect", {}).items():
            compare(f"{what}: {pointer}", find(answer, pointer), fill(expected, values), answer)
        for name, pointer in step.get("keep", {}).items():
            found, value = find(answer, pointer)
            if not found:
                raise Failure(f"{what}: {pointer} is missing in {answer}")
            values[name] = value


def principal(t):
    """Somebody to give roles to: the object id of the application that `up` makes."""
    filter = f"$filter=appId%20eq%20%27{t.facts['application_id']}%27"
    answer = t.arm("GET", f"/v1.0/servicePrincipals?{filter}", token=t.remora.token(t.suite.graph_audience()))
    t.true("Microsoft Graph knows the application", answer.status == 200 and answer.json["value"], answer)
    return answer.json["value"][0]["id"]


def fill(value, values):
    """With values in place of names."""
    if isinstance(value, str):
        if re.fullmatch(r"\{\w+\}", value) and value[1:-1] in values:
            return values[value[1:-1]]
        return re.sub(r"\{([a-z_]\w*)\}", lambda match: str(values[match[1]]) if match[1] in values else match[0], value)
    if isinstance(value, list):
        return [fill(one, values) for one in value]
    if isinstance(value, dict):
        return {name: fill(one, values) for name, one in value.items()}
    return value


def body(template, values):
    """A body, or an earlier answer with changes, as generic updates send it."""
    filled = fill(template, values)
    if isinstance(filled, dict) and "merge" in filled:
        return merged(filled["merge"], filled["with"])
    return filled


def merged(into, changes):
    if not isinstance(into, dict) or not isinstance(changes, dict):
        return changes
    return {**into, **{name: merged(into.get(name), value) for name, value in changes.items()}}


def find(answer, pointer):
    """Whether it is there, and what it is."""
    if pointer.startswith("header "):
        name = pointer.removeprefix("header ")
        return name in answer.headers, answer.headers.get(name)
    value = answer.json
    for part in pointer.split("/")[1:]:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return False, None
    return True, value


def compare(what, seen, expected, answer):
    there, value = seen
    if isinstance(expected, dict) and len(expected) == 1 and next(iter(expected)) in ("matches", "same_id", "present"):
        (how, wanted), = expected.items()
        good = {
            "matches": lambda: isinstance(value, str) and re.search(wanted, value) is not None,
            "same_id": lambda: isinstance(value, str) and value.lower() == str(wanted).lower(),
            "present": lambda: there == wanted,
        }[how]()
    else:
        good = there and value == expected
    if not good:
        raise Failure(f"{what}: expected {json.dumps(expected)}, seen {json.dumps(value)} in {answer}")


def finished(t, what, answer):
    """Follows an operation that goes on after its answer."""
    if answer.status != 202:
        return
    location = answer.headers.get("location")
    t.true(f"{what}: a 202 says where to ask and when", location and answer.headers.get("retry-after", "").isdigit(), answer.headers)
    deadline = time.monotonic() + 60
    while True:
        answer = t.send("GET", location, token=t.suite.admin_token())
        if answer.status != 202:
            break
        t.true(f"{what}: it ends within a minute", time.monotonic() < deadline, answer)
        time.sleep(min(int(answer.headers.get("retry-after", "1")), 2))
    t.true(f"{what}: it ends well", answer.status in (200, 204), answer)


def register():
    for path in sorted(TABLES.glob("*.json")):
        table = json.loads(path.read_text(encoding="utf-8"))
        for version in table["versions"]:
            case(f"{table['what']}, {version}")(lambda t, table=table, version=version: replay(t, table, version))


register()
