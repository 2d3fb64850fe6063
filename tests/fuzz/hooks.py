"""What the fuzzer of tests/fuzz/run.sh knows besides the description."""

import json
import os
import random
import uuid

import schemathesis

# Of known.py: what is in the shop.
KNOWN = json.loads(os.environ["FUZZ_KNOWN"])
CHANCE = random.Random(int(os.environ["FUZZ_SEED"]))


def chosen(values):
    return CHANCE.choice(values)


def parameters_of(path):
    """Values for the parameters of a path, of something that is there."""
    if path.startswith("/api/audit/a/"):
        kind, identity = chosen(KNOWN["aggregates"])
        return {"type": kind, "id": identity}
    if path.startswith("/api/audit/c/"):
        return {"id": chosen(KNOWN["correlations"])}
    if path.startswith("/api/audit/processes/"):
        process, instance = chosen(KNOWN["processes"])
        return {"process": process, "instance": instance}
    if path.startswith("/api/audit/operations/"):
        return {"position": chosen(KNOWN["operations"])}
    if path.startswith("/api/audit/views/"):
        # Views are saved on a page, which is no part of the description: there is none.
        return {"slug": chosen(["refunds-today", "a"])}
    if path.startswith("/orders/{order}/"):
        return {"order": chosen(KNOWN["orders"])}
    if path.startswith("/checkouts/{checkout}/"):
        return {"checkout": chosen(KNOWN["checkouts"])}
    if path.startswith("/inventory/"):
        return {"sku": chosen(KNOWN["skus"])}
    if path.startswith("/carts/"):
        line = {"line": chosen([1, 2])} if "{line}" in path else {}
        # No share is known: one that is not there is ended.
        share = {"share": chosen(KNOWN["users"])} if "{share}" in path else {}
        return {"id": chosen(KNOWN["carts"])} | line | share
    if path.startswith("/shared-carts/"):
        return {"secret": chosen(KNOWN["secrets"])}
    if path.startswith(("/auth/sessions/", "/auth/factors/", "/auth/passkeys/")):
        # Those who ask have keys and no sessions.
        return {"id": chosen(KNOWN["users"])}
    if "{address}" in path or "{medium}" in path:
        known = {"id": chosen(KNOWN["users"])}
        # No address is known: one that is not there is asked for.
        return known | ({"medium": chosen(["email", "post"])} if "{medium}" in path else {"address": known["id"]})
    collection = {"people": "users"}.get(path.split("/")[1], path.split("/")[1])
    return {"id": chosen(KNOWN[collection])}


def about_what_is_there(body):
    """The body with SKUs and orders that are there."""
    if isinstance(body, list):
        return [about_what_is_there(one) for one in body]
    if not isinstance(body, dict):
        return body
    changed = {name: about_what_is_there(value) for name, value in body.items()}
    if isinstance(changed.get("sku"), str):
        changed["sku"] = chosen(KNOWN["skus"])
    if isinstance(changed.get("order_id"), str):
        changed["order_id"] = chosen(KNOWN["orders"])
    if isinstance(changed.get("cart"), str):
        changed["cart"] = chosen(KNOWN["carts"])
    if isinstance(changed.get("version"), int):
        changed["version"] = chosen([1, 2])
    if isinstance(changed.get("quantity"), int):
        changed["quantity"] = chosen([1, 2, changed["quantity"]])
    if "until" in changed and chosen([True, False]):
        changed.pop("until")
    if isinstance(changed.get("currency"), str):
        changed["currency"] = "GBP"
    for privileged in ("occurred_at", "number", "price"):
        # The price of a product is no privilege; that of a line is.
        line = privileged != "price" or "quantity" in changed
        if line and chosen([True, False]):
            changed.pop(privileged, None)
    return changed


MOMENTS = ["2026-01-01", "2100-01-01", "2026-11-23T12:00:00Z", "2011-06-30T12:00:00.5+02:00"]
QUERIES = {
    "tz": ["Europe/London", "Asia/Shanghai", "America/Sao_Paulo"],
    "currency": ["GBP", "EUR"],
    "as_of": ["v:1", "v:2", "p:1", "p:30", "2100-01-01T00:00:00Z"],
    "where": ["/status=placed", "/on_hand=120", "/email=x"],
    "facets": ["category", "category,colour", '"colour"'],
    "q": ["mug", "bag red", "咖啡", "type:Order*", "actor:service created:2026-01-01..2100-01-01"],
    "type": ["OrderPlaced", "Stock*"],
    "agg": ["order", "stock"],
    "sku": KNOWN["skus"],
    "customer": KNOWN["users"],
    "process": ["fulfilment"],
}
TIMES = ("from", "to", "asof", "placed_from", "placed_to", "issued_from", "issued_to")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Makes two of three requests that follow the description be about something that is there: texts made at random
    seldom get beyond the first refusal. What breaks the description is sent as it is."""
    if case.meta is None or not case.meta.generation.mode.is_positive or chosen([True, False, False]):
        return
    if case.path_parameters:
        case.path_parameters |= parameters_of(case.operation.path)
    for name in list(case.query or {}):
        if name in ("after", "before", "parts_after") or name.startswith("facet."):
            case.query.pop(name)
        elif name in TIMES:
            case.query[name] = chosen(MOMENTS)
        elif name == "order" and case.operation.path in ("/credit-notes", "/payments"):
            case.query[name] = chosen(KNOWN["orders"])
        elif name in QUERIES:
            case.query[name] = chosen(QUERIES[name])
    for name in list(case.headers or {}):
        match name.lower():
            case "if-match":
                case.headers[name] = chosen(["*", '"1"', '"1", "2"'])
            case "if-none-match":
                case.headers[name] = chosen(['"1"', 'W/"2"', "*"])
            case "idempotency-key":
                case.headers[name] = str(uuid.UUID(int=CHANCE.getrandbits(128), version=4))
            case "event-position":
                case.headers[name] = chosen(["1", "main:10"])
            case "x-on-behalf-of" | "x-import-key" | "x-channel" | "x-reason-note" if chosen([True, False]):
                case.headers.pop(name)
            case "x-on-behalf-of":
                case.headers[name] = f"customer:{chosen(KNOWN['users'])}"
    if isinstance(case.body, (dict, list)):
        case.body = about_what_is_there(case.body)


@schemathesis.hook
def filter_failure(ctx, failure, case, response):
    """Single answers that are as they should be, whatever a check says."""
    # A caller without a token is not unknown but a guest, who may do less: 403, and not 401.
    guest = response.status_code == 403 and any(slug in response.text for slug in ("operator-only", "not-permitted"))
    return not (guest and "'Authorization'" in failure.message)


@schemathesis.check
def only_the_position_makes_it_wait(ctx, response, case):
    """503 is only for a query whose `Event-Position` the read model has not reached."""
    if response.status_code != 503:
        return
    kind = response.json().get("type")
    sent = {name.lower() for name in case.headers or {}}
    assert kind == "/problems/read-model-behind" and "event-position" in sent, f"503 {kind}"


@schemathesis.check
def every_refusal_is_a_problem(ctx, response, case):
    """A refusal has the form of RFC 9457, with the id of the request; of OAuth that of RFC 6749."""
    if response.status_code < 400:
        return
    # What HTTP itself refuses there is a problem as everywhere.
    if case.operation.path.startswith("/oauth/") and response.headers.get("content-type") == ["application/json"]:
        assert response.json()["error"], "it says nothing"
        return
    assert response.headers.get("content-type") == ["application/problem+json"], "it is no problem"
    problem = response.json()
    assert problem["status"] == response.status_code, "the status differs"
    assert problem["type"].startswith("/problems/"), "it has no type"
    assert problem["instance"] == f"urn:uuid:{response.headers['x-request-id'][0]}", "it names another request"
