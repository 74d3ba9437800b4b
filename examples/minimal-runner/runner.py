"""A runner in plain Python 3: JSON over WebSocket, one job at a time, scripts in sh. docs/protocol.md says why it does what it does."""
import base64, json, os, random, select, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time, uuid, zlib
from urllib.parse import urlparse

URL, TOKEN = urlparse(os.environ["SIGNALBOX_URL"]), os.environ.pop("SIGNALBOX_RUNNER_TOKEN")
WORK = os.environ.get("SIGNALBOX_WORK_DIR") or tempfile.mkdtemp()
IDENTITY = os.path.join(WORK, "system_id")
CHUNK = 32 * 1024


class WebSocket:
    def __init__(self):
        self.sock = socket.create_connection((URL.hostname, URL.port or 80), 10)
        key = base64.b64encode(os.urandom(16)).decode()
        path = URL.path.rstrip("/") + "/runner/v1/stream"
        head = [f"GET {path} HTTP/1.1", f"Host: {URL.netloc}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: signalbox.v1+json", f"Authorization: Bearer {TOKEN}"]
        self.sock.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.read(1)
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer.split(b"\r\n")[0].decode())

    def read(self, count):
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                raise ConnectionError("the connection was closed")
            data += piece
        return data

    def send(self, data, opcode=1):  # A frame must be masked: here with zeros, which change nothing.
        size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        self.sock.sendall(bytes([0x80 | opcode]) + (size if len(data) < 65536 else struct.pack("!BQ", 0xFF, len(data))) + bytes(4) + data)

    def receive(self, wait):
        """The next message, or None if nothing comes in time."""
        if not select.select([self.sock], [], [], wait)[0]:
            return None
        opcode, size = self.read(2)
        size = struct.unpack("!H", self.read(2))[0] if size == 126 else struct.unpack("!Q", self.read(8))[0] if size == 127 else size
        data = self.read(size)
        if opcode & 15 == 8:
            raise ConnectionError("the coordinator closed the stream")
        if opcode & 15 == 9:
            self.send(data, 10)
        return json.loads(data) if opcode & 15 == 1 else None


class Job:
    def __init__(self, offer, window):
        self.ref = {"jobId": int(offer["jobId"]), "fence": int(offer["fence"])}
        self.payload = json.loads(base64.b64decode(offer["payload"]))
        self.log, self.acked, self.window, self.waiting = bytearray(), 0, window, False
        self.process = self.report = self.cancel = None
        self.started = self.reported = self.stopped = False

    def run(self):
        self.started, folder = True, tempfile.mkdtemp(dir=WORK)
        variables = {one["key"]: one["value"] for one in self.payload["variables"]}
        secrets = [one["value"].encode() for one in self.payload["variables"] if one.get("masked") and one["value"]]
        lines = [line for step in self.payload["steps"] if step["name"] == "script" for line in step["script"]]
        if variables.get("GIT_STRATEGY") != "none":
            lines[:0] = ['git clone -q "$SOURCES" .', 'git checkout -q "$CI_COMMIT_SHA"', "unset SOURCES"]
        env = {**os.environ, **variables, "SOURCES": self.payload["git_info"]["repo_url"]}
        self.process = subprocess.Popen(["sh", "-e", "-c", "\n".join(lines)], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        limit = threading.Timer(self.payload["runner_info"]["timeout"], self.kill)
        limit.start()
        for line in self.process.stdout:  # Whole lines, so that a secret is not cut in two.
            for secret in secrets:
                line = line.replace(secret, b"[MASKED]")
            self.log += line
        code = self.process.wait()
        limit.cancel()
        shutil.rmtree(folder, ignore_errors=True)
        end = {"state": "JOB_STATE_SUCCESS"} if code == 0 else {"state": "JOB_STATE_FAILED", "failureReason": "script_failure"}
        self.report = {**self.ref, "revision": 1, **end, "exitCode": code if code >= 0 else 128 - code}

    def kill(self, how=signal.SIGKILL):
        try:
            os.killpg(self.process.pid, how)
        except (ProcessLookupError, AttributeError):
            pass


class Runner:
    def __init__(self):
        if not os.path.exists(IDENTITY):
            open(IDENTITY, "w").write("py_" + uuid.uuid4().hex)
        self.system, self.boot = open(IDENTITY).read(), uuid.uuid4().hex
        self.job, self.leaving, self.retry = None, False, None

    def send(self, kind, body):
        self.seq += 1
        self.ws.send(json.dumps({"seq": self.seq, "ack": self.ack, kind: body}).encode())

    def want(self):
        self.send("want", {"credits": 1 if self.job is None and not self.leaving else 0})

    def pump(self):
        """Sends what the job has to say: one piece of log at a time, then its report."""
        job = self.job
        if job is None or job.waiting or not job.started:
            return
        if job.cancel and job.report and not job.stopped:
            self.send("cancelAck", {**job.ref, "revision": job.cancel, "phase": "CANCEL_PHASE_STOPPED"})
            job.stopped = True
        if data := bytes(job.log[job.acked:job.acked + min(CHUNK, job.window)]):
            self.send("logChunk", {**job.ref, "offset": job.acked, "data": base64.b64encode(data).decode()})
            job.waiting = True
        elif job.report and not job.reported and job.acked == len(job.log):
            self.send("stateUpdate", {**job.report, "logLength": len(job.log), "logCrc32": zlib.crc32(job.log)})
            job.reported = True

    def verdict(self, one):
        if self.job is None or not self.mine(one):
            return
        if one.get("verdict") != "VERDICT_HELD":
            self.job.kill()
            self.job = None
            self.want()
        elif not self.job.started:
            self.job.started = True
            self.send("started", self.job.ref)
            threading.Thread(target=self.job.run, daemon=True).start()
        if one.get("cancel"):
            self.on_cancel(one["cancel"])

    def mine(self, body):
        return self.job is not None and {"jobId": int(body["jobId"]), "fence": int(body["fence"])} == self.job.ref

    def on_cancel(self, body):
        if not self.mine(body):
            return
        self.job.cancel = int(body["revision"])
        self.send("cancelAck", {**self.job.ref, "revision": self.job.cancel, "phase": "CANCEL_PHASE_RECEIVED"})
        self.job.kill(signal.SIGTERM)
        threading.Timer(body.get("graceMs", 0) / 1000, self.job.kill).start()

    def take(self, message):
        self.ack = int(message.get("seq", self.ack))
        body = next((value for key, value in message.items() if key not in ("seq", "ack")), {})
        if "welcome" in message:
            self.window = body.get("logWindowBytes", 0)
            self.renew_every = body.get("renewEveryMs", 20000) / 1000
            for one in body.get("verdicts", []):
                if self.mine(one):
                    self.job.acked, self.job.waiting, self.job.reported = int(one.get("logOffset", 0)), False, False
                self.verdict(one)
            self.want()
        elif "offer" in message:
            ref = {key: body[key] for key in ("offerId", "jobId", "fence")}
            if self.job or self.leaving:
                return self.send("reject", {**ref, "reason": "no_credit"})
            self.job = Job(body, self.window)
            self.send("accept", ref)
        elif "offerRevoked" in message and self.mine(body) and not self.job.started:
            self.job = None
            self.want()
        elif "leaseState" in message:
            for one in body.get("leases", []):
                self.verdict(one)
        elif "logAck" in message and self.mine(body):  # Whatever was lost on its way is sent again from there.
            self.job.acked, self.job.window = int(body.get("durableOffset", 0)), body.get("windowBytes", 0)
            self.job.waiting = False
        elif "stateAck" in message and self.mine(body):
            self.job = None
            self.want()
        elif "cancel" in message:
            self.on_cancel(body)
        elif "ping" in message:
            self.send("pong", body)
        elif "goodbye" in message:
            if body.get("code") in ("GOODBYE_CODE_UNAUTHORIZED", "GOODBYE_CODE_SUPERSEDED", "GOODBYE_CODE_PROTOCOL"):
                sys.exit(f"the coordinator says {body}")
            self.retry = body.get("reconnectAfterMs", 0) / 1000

    def stream(self):
        """One stream from Hello to its end."""
        self.ws, self.seq, self.ack, self.retry = WebSocket(), 0, 0, None
        self.renew_every, said = 20, False
        running = [{**self.job.ref, "finished": self.job.report is not None}] if self.job and self.job.started else []
        if not running:
            self.job = None
        self.send("hello", {"systemId": self.system, "bootId": self.boot, "protocolMin": 1, "protocolMax": 1, "name": "minimal-runner",
                            "version": "1", "executor": "shell", "capacity": 1, "running": running})
        renewed = time.monotonic()
        while not (self.leaving and self.job is None):
            if message := self.ws.receive(0.05):
                self.take(message)
            if self.leaving and not said:
                said = True
                self.send("drain", {"revision": 1, "reason": "SIGTERM"})
            if time.monotonic() - renewed > self.renew_every * 0.9:
                renewed = time.monotonic()
                if self.job and self.job.started:
                    self.send("leaseRenew", {"leases": [self.job.ref]})
                else:
                    self.send("ping", {"nonce": 1})
            self.pump()
        self.send("goodbye", {"code": "GOODBYE_CODE_DONE"})

    def leave(self, *_):
        self.leaving = True


if __name__ == "__main__":
    runner = Runner()
    signal.signal(signal.SIGTERM, runner.leave)
    while not runner.leaving or runner.job:
        try:
            runner.stream()
        except OSError as error:
            print(error, file=sys.stderr)
            time.sleep(runner.retry if runner.retry is not None else random.uniform(0.2, 2))
