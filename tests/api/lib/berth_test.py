"""A scratch Berth for API tests, and TAP.

    from berth_test import Berth, tap
    with Berth() as berth:               # private PostgreSQL, berthd --role=api, TLS of its own
        sts = berth.client("sts")        # boto3, as the admin account
        tap.is_(sts.get_caller_identity()["Account"], berth.account_id, "who am I")
        out = berth.aws("ec2", "describe-regions")   # the stock CLI; parsed JSON
    tap.done()

Everything lies below one temporary folder and ends with the block. Run with /usr/bin/python3 from
the top folder, or by prove.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
REGION = "home-1"


class Tap:
    """One line for each claim; the plan comes last."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, truth, claim, why=""):
        self.count += 1
        if not truth:
            self.failed += 1
        print(("ok" if truth else "not ok") + f" {self.count} - {claim}", flush=True)
        if not truth and why:
            for line in str(why).splitlines():
                print("#   " + line, flush=True)
        return truth

    def is_(self, got, expected, claim):
        return self.ok(got == expected, claim, f"got      {got!r}\nexpected {expected!r}")

    def like(self, text, part, claim):
        return self.ok(part in str(text), claim, f"{text!r}\nlacks {part!r}")

    def raises(self, code, call, claim, status=None, message=None):
        """call must raise a botocore ClientError with this code (and status, and words)."""
        from botocore.exceptions import ClientError

        try:
            got = call()
        except ClientError as e:
            error = e.response["Error"]
            http = e.response["ResponseMetadata"]["HTTPStatusCode"]
            good = error["Code"] == code and (status is None or http == status)
            good = good and (message is None or message in error["Message"])
            return self.ok(good, claim, f"{error} {http}, expected {code} {status} {message}")
        return self.ok(False, claim, f"it answered {got!r}")

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


tap = Tap()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*argv, **kw):
    done = subprocess.run(argv, text=True, capture_output=True, **kw)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_tls(folder, names):
    """A CA, and certificates of server and channels for the names ("IP:127.0.0.1", "DNS:localhost")."""
    os.makedirs(folder)
    ca, key = os.path.join(folder, "ca.crt"), os.path.join(folder, "ca.key")
    with open(os.path.join(folder, "names"), "w") as f:
        f.write("subjectAltName=" + ",".join(names) + "\n")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=Berth test CA", "-keyout", key, "-out", ca)
    for name, *kind in (("server", "rsa:2048"), ("channel", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        file = os.path.join(folder, name)
        run("openssl", "req", "-newkey", *kind, "-nodes", "-subj", "/CN=berth",
            "-keyout", file + ".key", "-out", file + ".csr")
        run("openssl", "x509", "-req", "-in", file + ".csr", "-CA", ca, "-CAkey", key, "-CAcreateserial",
            "-days", "2", "-extfile", os.path.join(folder, "names"), "-out", file + ".crt")
    return ca


class Berth:
    def __init__(self, role="api", config="", env=None):
        self.role = role
        self.extra_config = config
        self.env = {**os.environ, "BERTH_CHECK_ANSWERS": "1", **(env or {})}
        self.root = tempfile.mkdtemp(prefix="berth-api-")
        os.chmod(self.root, 0o755)
        self.daemon = None
        self.exit_code = 0
        self.findings = []
        self.sessions = {}

    # -- life
    def __enter__(self):
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if value is not None and not isinstance(value, SystemExit):
            tap.ok(False, "the test ran to its end", "".join(traceback.format_exception(kind, value, trace)))
            self.show_log()
        self.destroy()
        if self.exit_code:
            tap.ok(False, f"berthd ends in order: {self.exit_code}")
            for line in self.findings[-60:]:
                print("# " + line.rstrip(), flush=True)
        if value is not None and not isinstance(value, SystemExit):
            tap.done()

    def prepare(self):
        self.port, self.channel_port = free_port(), free_port()
        self.run_dir = os.path.join(self.root, "run")
        self.state_dir = os.path.join(self.root, "var")
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.config_file = os.path.join(self.root, "berth.conf")
        for folder in (self.run_dir, self.state_dir):
            os.makedirs(folder)
        self.ca = make_tls(os.path.join(self.state_dir, "tls"), [
            "IP:127.0.0.1", "DNS:localhost",
            f"DNS:127.0.0.1:{self.channel_port}", f"DNS:127.0.0.1:{self.port}"])
        self.sockets = os.path.join(self.run_dir, "postgresql")
        run(os.path.join(TOP, "tests/lib/pg.sh"), "start", self.pg_dir(), self.sockets)
        with open(self.config_file, "w") as f:
            f.write(self.config_text())
        run(self.program(), "--config", self.config_file, "--migrate")
        self.load_admin(run(self.program(), "--config", self.config_file, "--create-admin", "admin"))

    def pg_dir(self):
        return os.path.join(self.root, "pg")

    def program(self):
        return os.path.join(BUILD, "berthd")

    def config_text(self):
        return f"""[berth]
name=apitest
state_dir={self.state_dir}
run_dir={self.run_dir}
log_dir={self.root}
[api]
listen_address=127.0.0.1
listen_port={self.port}
channel_port={self.channel_port}
advertise=127.0.0.1
[region]
name={REGION}
{self.extra_config}
"""

    def load_admin(self, text):
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        self.account_id = values["account_id"]
        self.access_key = values["aws_access_key_id"]
        self.secret_key = values["aws_secret_access_key"]

    def start(self):
        self.log = os.path.join(self.root, "berthd.log")
        with open(self.log, "a") as log:
            self.daemon = subprocess.Popen(
                [self.program(), "--config", self.config_file, f"--role={self.role}"],
                stdout=subprocess.PIPE, stderr=log, text=True, env=self.env)
        line = self.daemon.stdout.readline()
        if line != "berthd ready\n":
            self.show_log()
            raise RuntimeError(f"berthd did not start: {line!r}")

    def stop(self, how=signal.SIGTERM):
        """Ends berthd; its exit code."""
        if not self.daemon:
            return None
        self.daemon.send_signal(how)
        code = self.daemon.wait(timeout=20)
        self.daemon.stdout.close()
        self.daemon = None
        return code

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        self.start()

    def destroy(self):
        if self.daemon:
            try:
                self.exit_code = self.stop()
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.exit_code = self.daemon.wait()
            if self.exit_code:
                with open(self.log) as f:
                    self.findings = f.readlines()
        run(os.path.join(TOP, "tests/lib/pg.sh"), "stop", self.pg_dir())
        shutil.rmtree(self.root, ignore_errors=True)

    def show_log(self, lines=40):
        if os.path.exists(self.root + "/berthd.log"):
            with open(self.root + "/berthd.log") as f:
                for line in f.readlines()[-lines:]:
                    print("# log: " + line.rstrip(), flush=True)

    # -- clients
    def client(self, service, access_key=None, secret_key=None, token=None, region=REGION, newer=False,
               **kw):
        """A boto3 client; the admin account's, without retries, unless told otherwise. newer: with what
        our overlay adds to the installed model."""
        import boto3
        from botocore.config import Config

        config = Config(retries={"max_attempts": 0}, **kw)
        session = boto3.session.Session()
        if service == "berth" or newer:
            session._loader.search_paths.append(os.path.join(self.model_dir()))
        return session.client(
            service, region_name=region, endpoint_url=self.endpoint, verify=self.ca, config=config,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key, aws_session_token=token)

    def model_dir(self):
        """The admin service's model where botocore looks for one."""
        folder = os.path.join(self.root, "models")
        target = os.path.join(folder, "berth", "2026-01-01")
        extras = os.path.join(folder, "ecs", "2014-11-13")
        if not os.path.exists(target):
            os.makedirs(target)
            shutil.copy(os.path.join(TOP, "src/catalog/overlay/berth.json"),
                        os.path.join(target, "service-2.json"))
            os.makedirs(extras)
            with open(os.path.join(TOP, "src/catalog/overlay/ecs.json")) as overlay, \
                    open(os.path.join(extras, "service-2.sdk-extras.json"), "w") as f:
                json.dump({"version": 1.0, "merge": json.load(overlay)}, f)
        return folder

    def aws_env(self, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env.update(AWS_ACCESS_KEY_ID=self.access_key, AWS_SECRET_ACCESS_KEY=self.secret_key,
                   AWS_DEFAULT_REGION=REGION, AWS_CA_BUNDLE=self.ca, AWS_PAGER="",
                   AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null",
                   AWS_MAX_ATTEMPTS="1", AWS_EC2_METADATA_DISABLED="true")
        env.update(extra)
        return env

    def aws_run(self, *args, **env):
        """The stock CLI; the finished process."""
        return subprocess.run(
            ["/usr/bin/aws", "--endpoint-url", self.endpoint, "--output", "json", *args],
            text=True, capture_output=True, env=self.aws_env(**env))

    def aws(self, *args, **env):
        """The stock CLI; its parsed answer, or None when it prints none. Fails when it fails."""
        done = self.aws_run(*args, **env)
        if done.returncode != 0:
            raise RuntimeError(f"aws {' '.join(args)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def profile(self):
        """The environment in which our own command line speaks to this installation, as its admin."""
        home = os.path.join(self.root, "home")
        if not os.path.exists(home): # a berth in the background may be reading it
            os.makedirs(home)
            with open(os.path.join(home, "config"), "w") as f:
                f.write(f"[profile berth]\nregion={REGION}\nendpoint_url={self.endpoint}\nca_bundle={self.ca}\n")
            with open(os.path.join(home, "credentials"), "w") as f:
                f.write(f"[berth]\naws_access_key_id={self.access_key}\naws_secret_access_key={self.secret_key}\n")
        return {**os.environ, "BERTH_HOME": home, "NO_COLOR": "1", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def verb(self, *words, value=""):
        """Our own command line, where nobody can be asked; the finished process."""
        return subprocess.run([os.path.join(BUILD, "berth"), *words], input=value, text=True, capture_output=True,
                              env=self.profile(), timeout=150)

    # -- the database
    def sql(self, statement, database="berth_" + REGION.replace("-", "_"), user="berth_owner"):
        """Rows as lists of text."""
        out = run("psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                  "-h", self.sockets, "-U", user, "-d", database, "-c", statement)
        return [line.split("\t") for line in out.splitlines()]

    def wait_for(self, check, seconds=20, step=0.05):
        """The first true value of check(); None when the time is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = check()
            if value:
                return value
            time.sleep(step)
        return None
