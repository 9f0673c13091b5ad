"""What the cases stand on: a running `remora up`, az with its own state, plain ARM requests, and the runner.

A case is a function of one argument, `t`, marked with `@case("what it shows")`. Cases share one `remora up` and run side by
side, so each works in resource groups and with principals of its own (`t.name`). A case that fails says what it expected and
what it saw, and prints the calls that it made last, with all that az printed.
"""

import base64
import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import traceback
import urllib.parse
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ARM = "https://management.azure.com/"
MONITOR = "https://monitor.azure.com"
PROMETHEUS = "https://prometheus.monitor.azure.com"

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
DATA_READER = "b0d8363b-8ddd-447d-831f-62ca05bff136"

CASES = []


def case(what):
    """Makes a case of a function."""

    def register(function):
        CASES.append((function.__module__.rpartition(".")[2], what, function))
        return function

    return register


class Failure(Exception):
    """What a case expected and did not see."""


class Remora:
    """A `remora up` in a directory of its own."""

    def __init__(self, program, directory):
        self.program, self.directory = str(program), Path(directory)
        self.data_dir = self.directory / "data"
        self.log = self.directory / "remora.log"
        self.facts = {}
        self.process = None

    def start(self):
        addresses = [word for part in ("service", "authority", "sidecar") for word in (f"--{part}-address", "127.0.0.1:0")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "up", "--data-dir", self.data_dir, *addresses],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        published = self.data_dir / "up.json"
        deadline = time.monotonic() + 60
        while not published.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"`remora up` does not come up; its log:\n{self.log.read_text()}")
            time.sleep(0.02)
        self.facts = json.loads(published.read_text())
        installation = json.loads((self.data_dir / "installation.json").read_text())
        self.subscription = self.facts.get("subscription_id") or installation["subscription_id"]
        self.tls = ssl.create_default_context(cafile=self.facts["ca_file"])
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends it as an operator does; gives the lines of its log that should not be there."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return ["it did not end within a minute of SIGTERM"]
        lines = self.log.read_text(errors="replace").splitlines()
        bad = [line for line in lines if "level=error" in line.lower() or " ERROR " in line or "panicked at" in line]
        if self.process.returncode != 0:
            bad.append(f"it ended with {self.process.returncode}")
        return bad

    def admin_secret(self):
        return Path(self.facts["admin_secret_file"]).read_text().strip()

    def token(self, resource, client=None, secret=None):
        """A token of the local authority; the admin's unless another client is named."""
        form = {
            "grant_type": "client_credentials",
            "client_id": client or self.facts["admin_client_id"],
            "client_secret": secret or self.admin_secret(),
            "scope": f"{resource}/.default",
        }
        url = f"{self.facts['authority_tls']}/{self.facts['tenant_id']}/oauth2/v2.0/token"
        answer = self.request("POST", url, urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
        if answer.status != 200:
            raise Failure(f"no token for {resource}: {answer}")
        return answer.json["access_token"]

    def request(self, method, url, body=None, headers=None):
        """One request on a connection of its own."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60, context=self.tls)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(method, url, connection.getresponse())
        finally:
            connection.close()


class Answer:
    """What a request was answered."""

    def __init__(self, method, url, response):
        self.method, self.url = method, url
        self.status, self.headers = response.status, {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()
        try:
            self.json = json.loads(self.body) if self.body else None
        except ValueError:
            self.json = None

    @property
    def code(self):
        """The code of Azure's error envelope; none when it is not one."""
        error = self.json.get("error") if isinstance(self.json, dict) else None
        return error.get("code") if isinstance(error, dict) else None

    def __str__(self):
        return f"{self.method} {self.url} -> {self.status} {self.body[:2000].decode(errors='replace')}"


class Az:
    """The Azure CLI with a directory of state of its own."""

    def __init__(self, program, config_dir, calls):
        self.program, self.config_dir, self.calls = str(program), Path(config_dir), calls
        self.environment = {
            **os.environ,
            "AZURE_CONFIG_DIR": str(self.config_dir),
            "REQUESTS_CA_BUNDLE": str(self.config_dir / "ca.pem"),
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_SURVEY_MESSAGE": "false",
            "AZURE_CORE_NO_COLOR": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def __call__(self, *words):
        """Runs it; what it printed, as data. Fails the case when az fails."""
        done = self.run(*words)
        if done.returncode != 0:
            raise Failure(f"az {' '.join(map(str, words))} ended with {done.returncode}")
        try:
            return json.loads(done.stdout) if done.stdout.strip() else None
        except ValueError:
            raise Failure(f"az {' '.join(map(str, words))} printed no JSON") from None

    def fails(self, *words):
        """Runs it; all that it said. Fails the case when az does not fail."""
        done = self.run(*words)
        if done.returncode == 0:
            raise Failure(f"az {' '.join(map(str, words))} should fail and does not")
        if "Traceback (most recent call last)" in done.stderr:
            raise Failure(f"az {' '.join(map(str, words))} does not understand what it was answered")
        return done.stderr + done.stdout

    def run(self, *words):
        words = [str(word) for word in words]
        done = subprocess.run([self.program, *words], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=180)
        said = "\n".join(filter(None, [done.stdout.strip(), done.stderr.strip()]))
        self.calls.append(f"$ az {' '.join(redacted(words))}   [{done.returncode}]\n{said[:CHARS_SHOWN]}")
        return done


def redacted(words):
    """Without what comes after --password."""
    return ["***" if before in ("-p", "--password") else word.split("=")[0] + "=***" if word.startswith("--password=") else word
            for before, word in zip(["", *words], words)]


class Test:
    """What one case works with."""

    def __init__(self, suite, worker, number):
        self.suite, self.remora = suite, suite.remora
        self.facts, self.subscription = suite.remora.facts, suite.remora.subscription
        self.calls = []
        self.az = Az(suite.az_program, worker, self.calls)
        # Short, since names of workspaces and groups are made of it.
        self.name = f"t{number:02}{uuid.uuid4().hex[:4]}"

    def directory(self):
        """A new directory that is gone when the run is over."""
        return Path(tempfile.mkdtemp(dir=self.suite.directory))

    def az_of_nobody(self):
        """az with the cloud registered and nobody logged in."""
        directory = self.directory() / "az"
        shutil.copytree(self.suite.registered, directory)
        return Az(self.suite.az_program, directory, self.calls)

    def log_in(self, client, secret=None, certificate=None):
        """az logged in as a service principal."""
        az = self.az_of_nobody()
        key = ("--certificate", certificate) if certificate else ("--password=" + secret,)
        az("login", "--service-principal", "--username", client, *key, "--tenant", self.facts["tenant_id"], "--allow-no-subscriptions")
        return az

    def group(self, suffix=""):
        """A resource group for this case."""
        name = f"{self.name}{suffix}"
        answer = self.arm("PUT", f"/subscriptions/{self.subscription}/resourceGroups/{name}?api-version=2022-09-01", {"location": "local"})
        self.true("a resource group for the case is made", answer.status in (200, 201), answer)
        return name

    def group_id(self, group):
        return f"/subscriptions/{self.subscription}/resourceGroups/{group}"

    def arm(self, method, path, body=None, headers=None, token=None):
        """A management request, as the admin unless a token is given."""
        return self.send(method, self.facts["service_tls"] + path, body, headers, token or self.suite.admin_token())

    def send(self, method, url, body=None, headers=None, token=None):
        """A request with JSON, or with bytes as they are."""
        headers = {"Accept": "application/json", **(headers or {})}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.remora.request(method, url, body, headers)
        self.calls.append(f"> {answer}")
        return answer

    def true(self, what, condition, seen=None):
        if not condition:
            raise Failure(f"{what}: it is not so{'' if seen is None else f'; seen: {describe(seen)}'}")

    def equal(self, what, seen, expected):
        if seen != expected:
            raise Failure(f"{what}: expected {describe(expected)}, seen {describe(seen)}")

    def same_id(self, what, seen, expected):
        """ARM ids compare without regard to case."""
        if not isinstance(seen, str) or seen.lower() != expected.lower():
            raise Failure(f"{what}: expected {describe(expected)}, seen {describe(seen)}")

    def contains(self, what, text, *parts):
        """Without regard to case."""
        missing = [part for part in parts if part.lower() not in text.lower()]
        if missing:
            raise Failure(f"{what}: {describe(text)} does not say {', '.join(map(repr, missing))}")

    def eventually(self, what, seconds, probe):
        """Repeats until it gives something true."""
        deadline = time.monotonic() + seconds
        while True:
            found = probe()
            if found:
                return found
            if time.monotonic() > deadline:
                raise Failure(f"{what}: not within {seconds} s")
            time.sleep(0.2)


def describe(value):
    text = str(value) if isinstance(value, Answer) else repr(value) if not isinstance(value, (dict, list)) else json.dumps(value)
    return text if len(text) < 3000 else text[:3000] + "…"


def claims(token):
    """What a token says, unchecked."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Suite:
    """All cases against one `remora up`."""

    def __init__(self, program, az_program, directory, jobs, sdk=None):
        self.az_program, self.directory, self.jobs = az_program, Path(directory), jobs
        self.sdk = sdk and Path(sdk).absolute()
        self.remora = Remora(program, directory)
        self.registered = self.directory / "registered"
        self.logged_in = self.directory / "logged-in"
        self.free = []
        self.lock = threading.Lock()
        self.admin = (0.0, "")

    def admin_token(self):
        """For plain requests: the admin's, kept for some minutes."""
        with self.lock:
            made, token = self.admin
            if time.monotonic() - made > 600:
                token = self.remora.token(ARM)
                self.admin = (time.monotonic(), token)
            return token

    def graph_audience(self):
        """What tokens for Microsoft Graph are for here: the cloud's metadata say it."""
        answer = self.remora.request("GET", f"{self.remora.facts['service_tls']}/metadata/endpoints?api-version=2022-09-01")
        return answer.json["microsoftGraphResourceId"].rstrip("/")

    def prepare(self):
        """Starts `remora up`, registers the cloud and logs in with scripts/az-local, as people do."""
        self.remora.start()
        # The environment that is tested, not one that happens to be on PATH.
        place = Path(self.az_program).parent.parent
        path = ":".join([str(place / "bin"), os.environ.get("PATH", "")])
        environment = {**os.environ, "PATH": path, "REMORA_AZ_VENV": str(place)}
        command = [ROOT / "scripts/az-local", "--data-dir", self.remora.data_dir, "--config-dir", self.logged_in]
        done = subprocess.run([*command, "account", "show"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"scripts/az-local cannot register and log in:\n{done.stdout}{done.stderr}")
        account = json.loads(done.stdout)
        if account["id"] != self.remora.subscription:
            raise Failure(f"scripts/az-local logs in to another subscription: {done.stdout}")
        shutil.copytree(self.logged_in, self.registered)
        for name in ("azureProfile.json", "az-local.json", "service_principal_entries.json", "msal_token_cache.json", "msal_http_cache.bin"):
            (self.registered / name).unlink(missing_ok=True)
        for worker in range(self.jobs):
            self.free.append(shutil.copytree(self.logged_in, self.directory / f"worker-{worker}"))

    def run(self, cases):
        """Runs them; how many failed."""
        failed = 0
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(self.run_one, number, *one) for number, one in enumerate(cases)]
            for future in concurrent.futures.as_completed(futures):
                text, good = future.result()
                print(text, flush=True)
                failed += not good
        return failed

    def run_one(self, number, module, what, function):
        with self.lock:
            worker = self.free.pop()
        test, started = Test(self, worker, number), time.monotonic()
        problem = None
        try:
            function(test)
        except Failure as failure:
            where = traceback.extract_tb(failure.__traceback__)
            line = next((frame.lineno for frame in reversed(where) if frame.filename == function.__code__.co_filename), "?")
            problem = f"{failure} ({module}.py:{line})"
        except Exception:  # A case that stumbles over what it sees is a failed case.
            problem = traceback.format_exc()
        with self.lock:
            self.free.append(worker)
        spent = time.monotonic() - started
        if problem is None:
            return f"ok      {spent:5.1f} s  {module}: {what}", True
        calls = "\n".join(test.calls[-CALLS_SHOWN:])
        shown = "\n".join(f"    {line[:4000]}" for line in f"{problem}\n-- the last calls:\n{calls}".splitlines())
        return f"FAILED  {spent:5.1f} s  {module}: {what}\n{shown}", False


# Of a failed case, and of each of its calls.
CALLS_SHOWN = 4
CHARS_SHOWN = 3000
