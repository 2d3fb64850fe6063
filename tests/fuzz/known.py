"""Fills a shop with orders for the fuzzer, and prints what is in it as JSON: known.py URL KEYS < ADMIN-KEY. KEYS is a
file with what `soonshop key list --json` printed.

The sample data has products, stock and two users. This adds orders in several states, a credit note and a deleted user,
so that requests of the fuzzer can be about something that is there.
"""

import json
import sys
import time
import urllib.error
import urllib.request
import uuid

URL, KEY = sys.argv[1], sys.stdin.read().strip()
position = "0"


def ask(method, path, body=None, **headers):
    """An answer has seen everything that was done before."""
    global position
    headers |= {"Authorization": f"Bearer {KEY}", "Idempotency-Key": str(uuid.uuid4())}
    if method == "GET":
        headers |= {"Event-Position": position, "Prefer": "wait=30"}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(URL + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            position = answer.headers["Event-Position"] or position
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        sys.exit(f"fuzz: {method} {path}: {error.code} {error.read().decode()}")


def order(quantity, sku="MUG-01"):
    body = {"lines": [{"sku": sku, "quantity": quantity}], "country": "France", "contact": {"name": "Fuzz"}}
    return ask("POST", "/orders", body)["id"]


def until_it_is(status, identity):
    """Its stock is reserved by a process after it was placed."""
    for _ in range(600):
        if ask("GET", f"/orders/{identity}")["status"] == status:
            return
        time.sleep(0.1)
    sys.exit(f"fuzz: the order {identity} never was {status}")


def items(path):
    return ask("GET", path)["items"]


orders = [order(1), order(2), order(1_000_000)]
until_it_is("confirmed", orders[0])
until_it_is("refused", orders[2])
# An order that was shipped takes no payment.
payment = ask("POST", f"/orders/{orders[0]}/payments", {"amount": {"amount": 1, "currency": "GBP"}})["id"]
ask("POST", f"/orders/{orders[0]}/shipment", {})
line = {"sku": "MUG-01", "quantity": 1}
ask("POST", "/credit-notes", {"order_id": orders[0], "lines": [line]})
user = ask("POST", "/users", {"name": "Fuzz"})["id"]
ask("DELETE", f"/users/{user}", If_Match="*")

carts = [ask("POST", "/carts", line)["id"] for _ in range(3)]
ask("POST", f"/carts/{carts[0]}/lines", line | {"note": "Fuzz"})
secret = ask("POST", f"/carts/{carts[0]}/shares", {})["secret"]

checkouts = [ask("POST", "/checkouts", {"cart": carts[2], "country": "France"})["id"]]

with open(sys.argv[2], encoding="utf-8") as file:
    keys = [json.loads(line)["id"] for line in file]

events = items("/api/audit/timeline?limit=200")
known = {
    "users": [user] + [one["id"] for one in items("/users")],
    "products": [one["id"] for one in items("/products")],
    "skus": [one["sku"] for one in items("/inventory")],
    "orders": orders,
    "carts": carts,
    "secrets": [secret],
    "payments": [payment],
    "checkouts": checkouts,
    "credit-notes": [one["id"] for one in items("/credit-notes")],
    "aggregates": sorted({(one["aggregate_type"], one["aggregate_id"]) for one in events}),
    "keys": keys,
    "correlations": sorted({one["correlation_id"] for one in events if one["correlation_id"]}),
    "processes": [(one["process"], one["instance"]) for one in items("/api/audit/processes?state=all")],
    "operations": [str(one["position"]) for one in items("/api/audit/operations?sign_ins=1")],
}
empty = [name for name, values in known.items() if not values]
if empty:
    sys.exit(f"fuzz: the shop has no {', '.join(empty)}")
print(json.dumps(known))
