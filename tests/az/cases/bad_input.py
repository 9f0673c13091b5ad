"""Bad input over raw TLS sockets: each line of the tables is answered with a clear 4xx and Azure's envelope, and nothing of it
harms what comes after. Some requests are no HTTP, so no HTTP client sends them."""

import base64
import concurrent.futures
import gzip
import hashlib
import hmac
import json
import re
import socket
import subprocess
import time
import uuid
from urllib.parse import urlsplit

from harness import ARM, MONITOR, PROMETHEUS, Failure, case

KIND = "providers/Microsoft.Insights/dataCollectionEndpoints"
VERSION = "?api-version=2023-03-11"


class Raw:
    """A connection on which bytes go as they are."""

    def __init__(self, t):
        service = urlsplit(t.facts["service_tls"])
        self.host = service.netloc
        plain = socket.create_connection((service.hostname, service.port), timeout=30)
        self.socket = t.remora.tls.wrap_socket(plain, server_hostname=service.hostname)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts):
        for part in parts:
            self.socket.sendall(part)

    def answer(self):
        """Status, headers, body of the next answer; none when the connection ends before one."""
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                return None
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split()[1])
        length = int(headers.get("content-length", "0"))
        while len(self.rest) < length and self.more():
            pass
        body, self.rest = self.rest[:length], self.rest[length:]
        return status, headers, body

    def more(self):
        try:
            part = self.socket.recv(65536)
        except OSError:
            return False
        self.rest += part
        return bool(part)


def request(t, method, target, headers=(), body=b"", token=None):
    """A request's bytes; headers as pairs, so that one may stand there twice."""
    token = t.suite.admin_token() if token is None else token
    lines = [f"{method} {target} HTTP/1.1", f"Host: {urlsplit(t.facts['service_tls']).netloc}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method in ("PUT", "PATCH", "POST"):
        if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
            lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ask(t, what, *parts):
    """Sends bytes on a connection of its own."""
    with Raw(t) as raw:
        try:
            raw.send(*parts)
        except OSError:
            pass  # It may have answered and closed before it heard everything.
        answer = raw.answer()
    shown = None if answer is None else (answer[0], answer[2][:500])
    t.calls.append(f"> {what}: {parts[0][:300]!r} -> {shown}")
    return answer


def refused(t, what, answer, statuses=range(400, 500), codes=None):
    """A clear refusal: a status of these, and the envelope."""
    if answer is None:
        raise Failure(f"{what}: no answer")
    status, headers, body = answer
    if status not in statuses:
        raise Failure(f"{what}: expected {list(statuses)[:6]}, seen {status} {body[:500]}")
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{what}: {status} is not in Azure's envelope: {body[:500]}") from None
    if not error.get("code") or not error.get("message"):
        raise Failure(f"{what}: the envelope lacks code or message: {body[:500]}")
    if codes and error["code"] not in codes:
        raise Failure(f"{what}: expected {codes}, seen {error['code']}: {error['message'][:300]}")
    if len(body) > 20_000:
        raise Failure(f"{what}: the refusal has {len(body)} bytes")
    return error


def alive(t):
    t.true("the program runs", t.remora.is_running())
    t.equal("and serves", t.arm("GET", f"/subscriptions/{t.subscription}?api-version=2022-12-01").status, 200)


@case("bodies: malformed, oversized, deep, of wrong types, with unknown fields")
def bodies(t):
    group = t.group()
    target = f"{t.group_id(group)}/{KIND}/{t.name}{VERSION}"
    json_type = ("Content-Type", "application/json")
    for what, body, statuses in [
        ("nothing", b"", [400]),
        ("no JSON", b"{", [400]),
        ("a trailing comma", b'{"location":"local",}', [400]),
        ("two documents", b'{"location":"local"}{"location":"local"}', [400]),
        ("no UTF-8", b'{"location":"\xff\xfe"}', [400]),
        ("a byte order mark and UTF-16", '\ufeff{"location":"local"}'.encode("utf-16"), [400]),
        ("half a surrogate pair", b'{"location":"\\ud800"}', [400]),
        ("a zero byte in a string", b'{"location":"lo\\u0000cal"}', [400]),
        ("an array", b"[]", [400]),
        ("a number", b"1", [400]),
        ("null", b"null", [400]),
        ("a location that is a number", b'{"location":1}', [400]),
        ("a location that is an object", b'{"location":{}}', [400]),
        ("an empty location", b'{"location":""}', [400]),
        ("no location", b'{"properties":{}}', [400]),
        ("properties that are a string", b'{"location":"local","properties":"x"}', [400]),
        ("acls that are an array", b'{"location":"local","properties":{"networkAcls":[]}}', [400]),
        ("an access that does not exist", b'{"location":"local","properties":{"networkAcls":{"publicNetworkAccess":"Perhaps"}}}', [400]),
        ("a description that is a number", b'{"location":"local","properties":{"description":1}}', [400]),
        ("tags that are an array", b'{"location":"local","tags":["a"]}', [400]),
        ("a tag that is a number", b'{"location":"local","tags":{"a":1}}', [400]),
        ("51 tags", json.dumps({"location": "local", "tags": {f"t{n}": "x" for n in range(51)}}).encode(), [400]),
        ("a tag's name of 513 characters", json.dumps({"location": "local", "tags": {"x" * 513: "x"}}).encode(), [400]),
        ("a tag's value of 257 characters", json.dumps({"location": "local", "tags": {"x": "x" * 257}}).encode(), [400]),
        ("a depth of 100,000", b"[" * 100_000 + b"]" * 100_000, [400, 413]),
        ("a deep field", b'{"location":"local","properties":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, [400, 413]),
        ("a number of 10,000 digits", b'{"location":"local","properties":{"description":' + b"9" * 10_000 + b"}}", [400]),
        ("8 MiB", b'{"location":"local","properties":{"description":"' + b"x" * (8 << 20) + b'"}}', [400, 413]),
    ]:
        refused(t, what, ask(t, what, request(t, "PUT", target, [json_type], body)), statuses)
    made = ask(t, "unknown fields", request(t, "PUT", target, [json_type],
               b'{"location":"local","colour":"blue","properties":{"shape":{"round":true},"immutableId":"dce-mine","provisioningState":"Failed"}}'))
    status, _, body = made
    if status in (200, 201):
        answer = json.loads(body)
        t.true("an id that is only answered is not taken", answer["properties"]["immutableId"] != "dce-mine", answer)
        t.equal("nor a state", answer["properties"]["provisioningState"], "Succeeded")
    else:
        refused(t, "unknown fields", made, [400])
    twice = ask(t, "a name twice", request(t, "PUT", target, [json_type], b'{"location":"local","location":"elsewhere"}'))
    t.true("a name twice is refused or one of the two, never a crash", twice is not None and twice[0] in (200, 201, 400), twice)
    alive(t)


@case("paths and queries: tricks, lengths, versions, filters")
def paths(t):
    group = t.group()
    base, name = f"{t.group_id(group)}/{KIND}", t.name
    made = t.arm("PUT", f"{base}/{name}{VERSION}", {"location": "local"})
    t.true("an endpoint to find", made.status in (200, 201), made)
    sub = f"/subscriptions/{t.subscription}"
    for what, target in [
        ("dots", f"{base}/../dataCollectionEndpoints/{name}{VERSION}"),
        ("encoded dots", f"{base}/%2e%2e/dataCollectionEndpoints/{name}{VERSION}"),
        ("half encoded dots", f"{base}/.%2E/dataCollectionEndpoints/{name}{VERSION}"),
        ("a dot", f"{base}/./{name}{VERSION}"),
        ("an encoded slash", f"{base}%2f{name}{VERSION}"),
        ("an encoded backslash", f"{base}%5c{name}{VERSION}"),
        ("an encoded zero", f"{base}/{name}%00{VERSION}"),
        ("an encoded line end", f"{base}/{name}%0d%0aX-Evil:%201{VERSION}"),
        ("an encoding of an encoding", f"{base}/{name}%252e%252e{VERSION}"),
        ("half an encoding", f"{base}/{name}%2{VERSION}"),
        ("no UTF-8", f"{base}/{name}%ff%fe{VERSION}"),
        ("an empty segment", f"{base}//{name}{VERSION}"),
        ("10,000 characters", f"{base}/{'a' * 10_000}{VERSION}"),
        ("a name of 300 characters", f"{base}/{'a' * 300}{VERSION}"),
        ("1,000 segments", f"{base}{'/a' * 1000}{VERSION}"),
        ("a subscription that is no GUID", f"/subscriptions/mine/resourceGroups/{group}{VERSION}"),
        ("a wrong number of segments", f"{base}/{name}/more{VERSION}"),
        ("no version", f"{base}/{name}"),
        ("an empty version", f"{base}/{name}?api-version="),
        ("a version that is no date", f"{base}/{name}?api-version=latest"),
        ("a version with a path in it", f"{base}/{name}?api-version=../../etc/passwd"),
        ("a month that is none", f"{base}/{name}?api-version=2023-13-41"),
        ("a filter that is none", f"{sub}/resources?$filter=drop%20table%20rules&api-version=2024-11-01"),
        ("a filter that does not end", f"{sub}/resources?$filter=name%20eq%20%27x&api-version=2024-11-01"),
        ("a deep filter", f"{sub}/resources?$filter={'(' * 1000}name%20eq%20%27x%27{')' * 1000}&api-version=2024-11-01"),
        ("a page size that is none", f"{sub}/resources?$top=many&api-version=2024-11-01"),
        ("a negative page size", f"{sub}/resources?$top=-1&api-version=2024-11-01"),
        ("a page of somebody else", f"{sub}/resources?$skiptoken=%00%ff&api-version=2024-11-01"),
    ]:
        refused(t, what, ask(t, what, request(t, "GET", target)))
    for what, target in [
        ("another case of everything", f"{base}/{name}".upper() + VERSION),
        ("an encoded letter", f"{base}/%{ord(name[0]):02x}{name[1:]}{VERSION}"),
        ("a slash behind", f"{base}/{name}/{VERSION}"),
        ("a version in upper case", f"{base}/{name}?API-VERSION=2023-03-11"),
    ]:
        answer = ask(t, what, request(t, "GET", target))
        t.true(f"{what} finds it", answer is not None and answer[0] == 200 and json.loads(answer[2])["name"] == name, answer)
    alive(t)


@case("HTTP: methods, duplicate and broken headers, requests within requests")
def protocol(t):
    group = t.group()
    path = f"{t.group_id(group)}/{KIND}/{t.name}{VERSION}"
    body = b'{"location":"local"}'
    json_type = ("Content-Type", "application/json")
    for method in ("POST", "TRACE", "CONNECT", "PROPFIND", "get", "LONG" * 50):
        answer = ask(t, method, request(t, method, path, [json_type], b""))
        t.true(f"{method[:12]} is refused", answer is None or answer[0] in (400, 404, 405, 501), answer)
    overridden = ask(t, "an override", request(t, "GET", path, [("X-HTTP-Method-Override", "DELETE")]))
    refused(t, "an override of the method is no override", overridden, [404])
    for what, headers in [
        ("two lengths", [json_type, ("Content-Length", "20"), ("Content-Length", "5")]),
        ("a length and chunks", [json_type, ("Content-Length", "20"), ("Transfer-Encoding", "chunked")]),
        ("a negative length", [json_type, ("Content-Length", "-1")]),
        ("a length that is none", [json_type, ("Content-Length", "many")]),
        ("chunks twice", [json_type, ("Transfer-Encoding", "chunked, chunked")]),
        ("a header with a space in its name", [json_type, ("Content Length", "20")]),
        ("a header of 200 kB", [json_type, ("X-Long", "x" * 200_000)]),
        ("2,000 headers", [json_type, *[(f"X-{n}", "x") for n in range(2000)]]),
    ]:
        # Whoever reads such a request differently from a proxy before it lets requests be smuggled: what follows it must never be
        # answered. Chunks that are none look like a connection that broke, which may be tried again.
        with Raw(t) as raw:
            try:
                raw.send(request(t, "PUT", path, headers, body), request(t, "GET", path))
            except OSError:
                pass  # It closed the connection before it heard everything.
            answer, smuggled = raw.answer(), raw.answer()
        t.true(f"{what}: refused or closed", answer is None or 400 <= answer[0] < 500 or answer[0] == 503, answer)
        t.true(f"{what}: nothing after it is answered", smuggled is None, smuggled)
    for what, headers in [
        ("two tokens", [("Authorization", f"Bearer {t.suite.admin_token()}")]),
        ("two If-Match", [("If-Match", '"a"'), ("If-Match", '"b"')]),
    ]:
        answer = ask(t, what, request(t, "PUT", path, [json_type, *headers], body))
        refused(t, what, answer)
    for what, headers, statuses in [
        ("If-Match of what is not there", [("If-Match", "*")], [412]),
        ("an etag that is none", [("If-Match", '"not-an-etag"')], [412]),
        ("another content", [("Content-Type", "text/xml")], [400, 415]),
        ("a compressed body", [json_type, ("Content-Encoding", "gzip")], [400, 415]),
    ]:
        headers = headers if any(name == "Content-Type" for name, _ in headers) else [json_type, *headers]
        sent = gzip.compress(body) if what == "a compressed body" else body
        refused(t, what, ask(t, what, request(t, "PUT", path, headers, sent)), statuses)
    t.equal("nothing was made of all this", t.arm("GET", path).status, 404)
    with Raw(t) as raw:
        raw.send(request(t, "GET", f"{t.group_id(group)}{VERSION}") + request(t, "GET", path))
        first, second = raw.answer(), raw.answer()
        t.true("two requests at once get their own answers, in order", first and second and (first[0], second[0]) == (200, 404), (first, second))
    with Raw(t) as raw:
        raw.send(b"\x16\x03\x01 no HTTP at all \x00\xff\r\n\r\n")
        answer = raw.answer()
        t.true("no HTTP is refused or closed", answer is None or answer[0] == 400, answer)
    with Raw(t) as raw:
        # An answer without waiting for a body that never comes.
        raw.send(request(t, "PUT", path, [json_type, ("Content-Length", "100000000000")]))
        refused(t, "a length of 100 GB", raw.answer(), [400, 413])
    alive(t)


@case("tokens: none, of others, altered, expired, for another audience")
def tokens(t):
    path = f"/subscriptions/{t.subscription}?api-version=2022-12-01"
    good = t.suite.admin_token()
    head, said, signature = good.split(".")
    unpack = lambda part: json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    pack = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    changed = {**unpack(said), "oid": str(uuid.uuid4())}
    expired = {**unpack(said), "exp": int(time.time()) - 7200}
    unsigned = pack({**unpack(head), "alg": "none"})
    symmetric = pack({**unpack(head), "alg": "HS256"})
    by_hmac = base64.urlsafe_b64encode(hmac.new(b"key", f"{symmetric}.{said}".encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    for what, token in [
        ("no token", ""),
        ("no JWT", "abc"),
        ("four parts", f"{good}.x"),
        ("another principal under the same signature", f"{head}.{pack(changed)}.{signature}"),
        ("another expiry under the same signature", f"{head}.{pack(expired)}.{signature}"),
        ("no signature", f"{unsigned}.{said}."),
        ("a symmetric signature", f"{symmetric}.{said}.{by_hmac}"),
        ("a signature that is cut", good[:-10]),
        ("another key", f"{pack({**unpack(head), 'kid': 'another'})}.{said}.{signature}"),
        ("a token of 100 kB", "x" * 100_000),
        ("for ingestion", t.remora.token(MONITOR)),
        ("for queries", t.remora.token(PROMETHEUS)),
        ("for Microsoft Graph", t.remora.token("https://graph.microsoft.com")),
    ]:
        answer = ask(t, what, request(t, "GET", path, token=token))
        if what == "a token of 100 kB" and answer is not None and answer[0] == 431:
            continue
        refused(t, what, answer, [401])
        challenge = answer[1].get("www-authenticate", "")
        t.true(f"{what}: says where to get a token", re.match(r'Bearer authorization_uri="https://', challenge), challenge)
        t.true(f"{what}: the token is not repeated", not token or len(token) < 10 or token.encode() not in answer[2], answer[2])
    for what, header in [("Basic", "Basic YTpi"), ("no scheme", good), ("an empty one", "Bearer "), ("two words", f"Bearer {good} {good}")]:
        answer = ask(t, what, request(t, "GET", path, [("Authorization", header)], token=""))
        refused(t, what, answer, [401])
    answer = ask(t, "another case of Bearer", request(t, "GET", path, [("Authorization", f"bearer {good}")], token=""))
    t.true("schemes have no case", answer is not None and answer[0] == 200, answer)
    answer = t.send("POST", f"{t.facts['service_tls']}/v1.0/directoryObjects/getByIds", {"ids": []}, token=good)
    t.equal("a management token is none for Microsoft Graph", answer.status, 401)
    url = t.facts["ingestion_url"].replace(t.facts["service"], t.facts["service_tls"])
    t.equal("nor for ingestion", t.send("POST", url, b"", token=good).status, 401)
    alive(t)


@case("tokens signed by the right key: expired, not yet valid, of another tenant, issuer or nobody")
def signed_tokens(t):
    path = f"/subscriptions/{t.subscription}?api-version=2022-12-01"
    head, said, _ = t.suite.admin_token().split(".")
    said, now = json.loads(base64.urlsafe_b64decode(said + "==")), int(time.time())
    key = t.remora.data_dir / "authority/signing-keys.pem"

    def signed(**changes):
        changed = {name: value for name, value in {**said, **changes}.items() if value is not None}
        text = f"{head}.{base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b'=').decode()}"
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), capture_output=True, check=True)
        return f"{text}.{base64.urlsafe_b64encode(done.stdout).rstrip(b'=').decode()}"

    answer = ask(t, "as it was", request(t, "GET", path, token=signed()))
    t.true("one signed here with the same claims is taken", answer is not None and answer[0] == 200, answer)
    for what, changes in [
        ("expired two hours ago", {"exp": now - 7200, "nbf": now - 10_000, "iat": now - 10_000}),
        ("valid in two hours", {"nbf": now + 7200, "exp": now + 10_000}),
        ("without an expiry", {"exp": None}),
        ("with an expiry that is a text", {"exp": "tomorrow"}),
        ("without an audience", {"aud": None}),
        ("with several audiences, none of them ours", {"aud": ["https://graph.microsoft.com", "https://vault.azure.net"]}),
        ("of another issuer", {"iss": "https://sts.windows.net/11111111-1111-1111-1111-111111111111/"}),
        ("without a principal", {"oid": None, "sub": None}),
    ]:
        answer = ask(t, what, request(t, "GET", path, token=signed(**changes)))
        codes = ["ExpiredAuthenticationToken"] if what.startswith("expired") else None
        refused(t, what, answer, [401], codes)
    answer = ask(t, "a stranger", request(t, "GET", path, token=signed(oid=str(uuid.uuid4()))))
    refused(t, "a principal that nobody gave a role", answer, [403, 404])


@case("concurrent PUTs with one etag: exactly one wins; without preconditions all succeed and one state results")
def concurrent_puts(t):
    group = t.group()
    path = f"{t.group_id(group)}/{KIND}/{t.name}{VERSION}"
    body = lambda n: {"location": "local", "properties": {"description": f"writer {n}"}}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda n: t.arm("PUT", path, body(n), {"If-None-Match": "*"}).status, range(16)))
        t.equal("of those who make it, one does", sorted(made)[:1] + sorted(made)[1:], [min(made)] + [412] * 15)
        t.true("with a success", min(made) in (200, 201), made)
        for _ in range(5):
            etag = t.arm("GET", path).json["etag"]
            changed = list(pool.map(lambda n: t.arm("PUT", path, body(n), {"If-Match": etag}), range(16)))
            winners = [answer for answer in changed if answer.status == 200]
            t.equal("of those who change it, one does", (len(winners), sum(answer.status == 412 for answer in changed)), (1, 15))
            now = t.arm("GET", path).json
            t.equal("and its state is the one that is read", (now["etag"], now["properties"]["description"]),
                    (winners[0].json["etag"], winners[0].json["properties"]["description"]))
        blind = list(pool.map(lambda n: t.arm("PUT", path, body(n)), range(16)))
        t.equal("without a precondition all succeed", {answer.status for answer in blind}, {200})
        t.equal("with one identity", len({answer.json["properties"]["immutableId"] for answer in blind}), 1)
        deleted = list(pool.map(lambda n: t.arm("DELETE", path).status, range(16)))
        t.true("deleting is idempotent", set(deleted) <= {200, 204} and 200 in deleted, deleted)
    alive(t)


@case("what one may not read is refused alike, whether it exists or not")
def no_oracle(t):
    made = t.az("ad", "sp", "create-for-rbac", "--name", f"{t.name}-nobody")
    token = t.remora.token(ARM, made["appId"], made["password"])
    group = t.group()
    there, absent = f"{t.group_id(group)}?api-version=2022-09-01", f"{t.group_id(group)}x?api-version=2022-09-01"
    first, second = t.arm("GET", there, token=token), t.arm("GET", absent, token=token)
    t.equal("status and code", (first.status, first.code), (403, "AuthorizationFailed"))
    t.equal("the same for what is not there", (second.status, second.code), (403, "AuthorizationFailed"))
    message = lambda answer, path: answer.json["error"]["message"].replace(path.split("?")[0], "")
    t.equal("in the same words", message(first, there), message(second, absent))
    listed = t.arm("GET", f"/subscriptions/{t.subscription}/resources?api-version=2024-11-01", token=token)
    t.true("a list shows nothing", listed.status == 403 or listed.json["value"] == [], listed)
