"""A private-transaction manager in a few hundred lines, made from the description of Tessera's formats and from libsodium alone,
and a conversation between it and `lonja ptm serve`: both ways, in both encodings, then a resend and a recovery.

LONJA names the binary."""

import base64
import hashlib
import http.client
import http.server
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import nacl.public
import nacl.secret
import nacl.utils

VERSIONS = "2.1,3.0,4.0,5.0,v1,v2"
VERSIONS_WITHOUT_CBOR = "2.1,3.0,4.0,v1,v2"
HEADER = "tesseraSupportedApiVersions"
OCTETS, JSON, V21, V40 = (
    "application/octet-stream",
    "application/json",
    "application/vnd.tessera-2.1+json",
    "application/vnd.tessera-4.0+json",
)


def check(what, condition):
    if not condition:
        raise SystemExit(f"failed: {what}")
    print(f"  ok  {what}", flush=True)


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


# --- the legacy encoding: lengths of eight bytes and nothing else ---


def field(data):
    return struct.pack(">q", len(data)) + data


def array(items):
    return struct.pack(">q", len(items)) + b"".join(field(item) for item in items)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("the bytes end too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self):
        return struct.unpack(">q", self.take(8))[0]

    def field(self):
        return self.take(self.number())

    def array(self):
        return [self.field() for _ in range(self.number())]

    def more(self):
        return self.at < len(self.data)


def encode_legacy(envelope):
    out = field(envelope["sender"]) + field(envelope["cipherText"]) + field(envelope["nonce"])
    out += array(envelope["recipientBoxes"]) + field(envelope["recipientNonce"]) + array(envelope["recipients"])
    out += field(bytes([envelope["privacyFlag"]])) + struct.pack(">q", len(envelope["affected"]))
    out += b"".join(field(name) + field(proof) for name, proof in envelope["affected"].items())
    if envelope["execHash"]:
        out += field(envelope["execHash"])
    if envelope["privacyFlag"] == 2:
        out += array(envelope["mandatoryFor"])
    return out + (field(envelope["privacyGroupId"]) if envelope["privacyGroupId"] else b"")


def decode_legacy(data):
    reader = Reader(data)
    envelope = {"sender": reader.field(), "cipherText": reader.field(), "nonce": reader.field()}
    envelope.update(recipientBoxes=reader.array(), recipientNonce=reader.field(), recipients=reader.array())
    envelope["privacyFlag"] = reader.field()[0]
    envelope["affected"] = {reader.field(): reader.field() for _ in range(reader.number())}
    flag = envelope["privacyFlag"]
    envelope["execHash"] = reader.field() if flag == 3 and reader.more() else b""
    envelope["mandatoryFor"] = reader.array() if flag == 2 and reader.more() else []
    envelope["privacyGroupId"] = reader.field() if reader.more() else b""
    return envelope


# --- CBOR: a map of eleven entries in this order ---

FIELDS = ["sender", "cipherText", "nonce", "recipientNonce", "recipientBoxes", "recipients", "privacyFlag"]
FIELDS += ["affected", "execHash", "mandatoryFor", "privacyGroupId"]


def item(value):
    def head(major, size):
        if size < 24:
            return bytes([major << 5 | size])
        for extra, width in enumerate((1, 2, 4, 8)):
            if size < 1 << 8 * width:
                return bytes([major << 5 | 24 + extra]) + size.to_bytes(width, "big")

    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(item, value))
    return head(5, len(value)) + b"".join(item(key) + item(entry) for key, entry in value.items())


def encode_cbor(envelope):
    written = {name: envelope[name] for name in FIELDS}
    written["affected"] = {b64(name): proof for name, proof in envelope["affected"].items()}
    return item(written)


def read_item(reader):
    first = reader.take(1)[0]
    major, size = first >> 5, first & 31
    if size > 23:
        size = int.from_bytes(reader.take(1 << size - 24), "big")
    if major == 0:
        return size
    if major == 2:
        return reader.take(size)
    if major == 3:
        return reader.take(size).decode()
    if major == 4:
        return [read_item(reader) for _ in range(size)]
    return {read_item(reader): read_item(reader) for _ in range(size)}


def decode_cbor(data):
    envelope = read_item(Reader(data))
    if list(envelope) != FIELDS:
        raise ValueError(f"fields {list(envelope)}")
    envelope["affected"] = {unb64(name): proof for name, proof in envelope["affected"].items()}
    return envelope


def codec_of(versions):
    return (encode_cbor, decode_cbor) if "5.0" in (versions or "").split(",") else (encode_legacy, decode_legacy)


# --- sealing ---


def hash_of(envelope):
    return hashlib.sha3_512(envelope["cipherText"]).digest()


class Party:
    """One key, the payloads it sent and received, and the HTTP that others push to."""

    def __init__(self, versions):
        self.private = nacl.public.PrivateKey.generate()
        self.public = bytes(self.private.public_key)
        self.versions, self.away = versions, False
        self.received, self.sent, self.bodies, self.known = {}, {}, {}, {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def shared(self, other):
        return nacl.secret.SecretBox(nacl.public.Box(self.private, nacl.public.PublicKey(other)).shared_key())

    def seal(self, payload, recipients, flag=0, exec_hash=b"", mandatory=()):
        master, nonce, recipient_nonce = (nacl.utils.random(size) for size in (32, 24, 24))
        recipients = list(recipients) + [self.public]
        box = nacl.secret.SecretBox(master)
        return {
            "sender": self.public,
            "cipherText": box.encrypt(payload, nonce).ciphertext,
            "nonce": nonce,
            "recipientBoxes": [self.shared(to).encrypt(master, recipient_nonce).ciphertext for to in recipients],
            "recipientNonce": recipient_nonce,
            "recipients": recipients,
            "privacyFlag": flag,
            "affected": {},
            "execHash": exec_hash,
            "mandatoryFor": list(mandatory),
            "privacyGroupId": b"",
        }

    def open(self, envelope):
        """The only box in a copy that was pushed to us is ours, or where we were the sender, a recipient's."""
        other = envelope["recipients"][0] if envelope["sender"] == self.public else envelope["sender"]
        master = self.shared(other).decrypt(envelope["recipientBoxes"][0], envelope["recipientNonce"])
        return nacl.secret.SecretBox(master).decrypt(envelope["cipherText"], envelope["nonce"])

    def push(self, url, envelope, recipient):
        place = envelope["recipients"].index(recipient)
        others = [key for key in envelope["recipients"] if key != recipient] if envelope["privacyFlag"] == 3 else []
        copy = dict(envelope, recipientBoxes=[envelope["recipientBoxes"][place]], recipients=[recipient] + others)
        self.sent[hash_of(envelope)] = copy
        encode, _ = codec_of(self.versions)
        return self.post(url, "/push", encode(copy))

    def post(self, url, path, body, media=OCTETS):
        return ask(url, "POST", path, body, {"Content-Type": media, HEADER: self.versions})

    def announce(self, url):
        info = field(self.url.encode()) + struct.pack(">q", 1) + field(self.public) + field(self.url.encode())
        return self.post(url, "/partyinfo", info + array([self.url.encode()]))

    def resend(self, key, size):
        """What this party sent to the key, and what the key sent to this party."""
        copies = [copy for copy in self.sent.values() if key in copy["recipients"]]
        copies += [copy for copy in self.bodies.values() if copy["sender"] == key]
        for at in range(0, len(copies), size):
            batch = {"encodedPayloads": [b64(encode_legacy(copy)) for copy in copies[at : at + size]]}
            status, _, _ = self.post(self.known[key], "/pushBatch", json.dumps(batch), JSON)
            if status != 200:
                raise ValueError(f"a batch was answered with {status}")
        return len(copies)


def handler(party):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body=b"", media="text/plain"):
            body = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(*((200, "I'm up!") if self.path == "/upcheck" else (404,)))

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if party.away:
                # Connections that stand already are served until they end.
                self.close_connection = True
                return
            try:
                self.serve(body)
            except Exception as error:  # the other side learns of it by the status
                print(f"  {self.path}: {error!r}", flush=True)
                self.answer(500, repr(error))

        def serve(self, body):
            versions = self.headers.get(HEADER)
            if self.path == "/push":
                # Whoever cannot read CBOR is not sent it, whatever the sender could.
                readable = versions if "5.0" in party.versions.split(",") else None
                encode, decode = codec_of(readable)
                copy = decode(body)
                if encode(copy) != body:
                    raise ValueError("written again, the envelope is another one")
                if party.public not in (copy["recipients"][0], copy["sender"]) or len(copy["recipientBoxes"]) != 1:
                    raise ValueError("this is not a copy for us")
                party.received[hash_of(copy)] = (party.open(copy), copy, decode)
                if copy["sender"] != party.public:
                    party.bodies[hash_of(copy)] = copy
                self.answer(201, b64(hash_of(copy)))
            elif self.path == "/partyinfo":
                reader = Reader(body)
                url = reader.field().decode()
                keys = {reader.field(): reader.field().decode() for _ in range(reader.number())}
                party.known.update((key, at) for key, at in keys.items() if at == url)
                self.answer(200, field(party.url.encode()) + bytes(16), OCTETS)
            elif self.path == "/partyinfo/validate":
                self.answer(200, party.open(decode_legacy(body)))
            elif self.path == "/resendBatch":
                asked = json.loads(body)
                total = party.resend(unb64(asked["publicKey"]), asked["batchSize"])
                self.answer(200, json.dumps({"total": total}), JSON)
            else:
                self.answer(404)

    return Handler


# --- the conversation ---


def ask(url, method, path, body=None, headers=None):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.reason
    finally:
        connection.close()


def wait_for(what, probe):
    until = time.time() + 60
    while time.time() < until:
        try:
            found = probe()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"failed: {what} did not happen")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# A variable that the program does not know stops it; those of other tools are none of its business.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LONJA_")}


class Lonja:
    def __init__(self, folder):
        self.folder = folder
        self.node, self.url = (f"http://127.0.0.1:{free_port()}/" for _ in range(2))
        self.process = None

    def options(self, peer):
        common = ["--data-dir", self.folder, "--p2p", self.url, "--peer", peer.url, "--round-ms", "200"]
        return [os.environ["LONJA"], "ptm"], common

    def start(self, peer):
        program, common = self.options(peer)
        log = open(os.path.join(self.folder, "serve.log"), "a", encoding="utf-8")
        self.process = subprocess.Popen([*program, "serve", *common, "--q2t", self.node], stdout=log, stderr=log, env=ENVIRONMENT)
        wait_for("lonja's start", lambda: ask(self.node, "GET", "/upcheck")[0] == 200)
        self.key = unb64(json.loads(ask(self.node, "GET", "/keys")[1])["keys"][0]["key"])

    def stop(self):
        self.process.terminate()
        check("lonja stops when told to", self.process.wait(timeout=30) == 0)

    def recover(self, peer):
        program, common = self.options(peer)
        command = [*program, "recover", *common]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=ENVIRONMENT)

    def knows(self, party):
        known = json.loads(ask(self.url, "GET", "/partyinfo")[1])["keys"]
        return {"key": b64(party.public), "url": party.url} in known

    def send(self, payload, to, media=V21, **more):
        body = json.dumps({"payload": b64(payload), "to": [b64(key) for key in to], **more})
        return ask(self.node, "POST", "/send", body, {"Content-Type": media})

    def payload(self, name):
        path = "/transaction/" + b64(name).replace("/", "%2F")
        status, body, _ = ask(self.node, "GET", path, None, {"Accept": V21})
        return (status, json.loads(body)) if status == 200 else (status, None)


def meet(lonja, party):
    def met():
        status, _, _ = party.announce(lonja.url)
        return status == 200 and lonja.knows(party) and lonja.key in party.known

    wait_for("to know each other", met)
    check("keys were shown to be held, and are known on both sides", True)


def from_lonja(lonja, party, decode):
    for flag, more in ((0, {}), (1, {}), (2, {"mandatoryRecipients": [b64(party.public)]}), (3, {"execHash": "cm9vdA=="})):
        payload = os.urandom(100)
        status, body, reason = lonja.send(payload, [party.public], V40, privacyFlag=flag, **more)
        if status != 201:
            raise SystemExit(f"failed: send with flag {flag}: {status} {reason} {body}")
        answer = json.loads(body)
        opened, copy, codec = party.received[unb64(answer["key"])]
        check(f"flag {flag} from lonja: hash and payload", opened == payload and answer["senderKey"] == b64(lonja.key))
        check("  in the encoding that was agreed", codec is decode)
        check("  with its flag", copy["privacyFlag"] == flag and bool(copy["execHash"]) == (flag == 3))
        if flag == 2:
            check("  with the mandatory recipients", copy["mandatoryFor"] == [party.public])
        if flag == 3:
            check("  with everybody's keys", copy["recipients"] == [party.public, lonja.key])
            check("  with the root as text", copy["execHash"] == b"cm9vdA==")


def to_lonja(lonja, party):
    for flag, more in ((0, {}), (1, {}), (2, {"mandatory": [lonja.key]}), (3, {"exec_hash": b"cm9vdA=="})):
        payload = os.urandom(100)
        envelope = party.seal(payload, [lonja.key], flag, **more)
        status, body, _ = party.push(lonja.url, envelope, lonja.key)
        check(f"flag {flag} to lonja: taken", status == 201 and unb64(body) == hash_of(envelope))
        status, found = lonja.payload(hash_of(envelope))
        check("  hash and payload", status == 200 and unb64(found["payload"]) == payload)
        check("  sender, flag and root", found["senderKey"] == b64(party.public) and found["privacyFlag"] == flag)
        check("  the root", found["execHash"] == ("cm9vdA==" if flag == 3 else ""))
    status, _, _ = party.post(lonja.url, "/push", os.urandom(300))
    check("nonsense is refused", status >= 400)


def large(lonja, party):
    payload = os.urandom(5 << 20)
    status, body, _ = lonja.send(payload, [party.public])
    check("five megabytes from lonja", status == 201 and party.received[unb64(json.loads(body)["key"])][0] == payload)
    envelope = party.seal(payload, [lonja.key])
    party.push(lonja.url, envelope, lonja.key)
    check("five megabytes to lonja", unb64(lonja.payload(hash_of(envelope))[1]["payload"]) == payload)


def resend(lonja, party):
    """The party lost a payload that lonja sent, and asks for it."""
    name = next(name for name, (_, copy, _) in party.received.items() if copy["privacyFlag"] == 0)
    body = json.dumps({"type": "INDIVIDUAL", "publicKey": b64(party.public), "key": b64(name)})
    status, body, _ = party.post(lonja.url, "/resend", body, JSON)
    copy = decode_legacy(body)
    check("a payload is given again", status == 200 and party.open(copy) == party.received[name][0])
    check("  to nobody else's key", copy["recipients"] == [party.public])
    body = json.dumps({"type": "ALL", "publicKey": b64(party.public)})
    both = {**party.sent, **party.bodies}
    lost = {name for name, copy in both.items() if copy["privacyFlag"] == 0}
    party.received.clear()
    status, _, _ = party.post(lonja.url, "/resend", body, JSON)
    check("all standard payloads are given again, also our own", status == 200 and set(party.received) == lost)


def recover(lonja, party):
    """Lonja loses its store; the party has everything."""
    names = list(party.sent) + list(party.bodies)
    before = {name: lonja.payload(name) for name in names}
    check("everything is there before", all(status == 200 for status, _ in before.values()))
    lonja.stop()
    shutil.rmtree(os.path.join(lonja.folder, "ptm", "db"))
    stop = threading.Event()

    def announcing():
        while not stop.wait(0.2):
            try:
                party.announce(lonja.url)
            except OSError:
                pass

    thread = threading.Thread(target=announcing)
    thread.start()
    outcome = lonja.recover(party)
    stop.set()
    thread.join()
    if outcome.returncode != 0:
        print(outcome.stdout, outcome.stderr)
    check("recovery gets everything", outcome.returncode == 0)
    lonja.start(party)
    after = {name: lonja.payload(name) for name in names}
    check("every payload is as before", after == before)


def conversation(versions, decode, folder):
    party, lonja = Party(versions), Lonja(folder)
    lonja.start(party)
    try:
        meet(lonja, party)
        from_lonja(lonja, party, decode)
        to_lonja(lonja, party)
        large(lonja, party)
        resend(lonja, party)
        recover(lonja, party)
        meet(lonja, party)
        party.away = True
        party.server.shutdown()
        party.server.server_close()
        status, body, reason = lonja.send(b"lost", [party.public])
        check("who is away is named", status == 410 and not body and b64(party.public) in reason)
        unknown = bytes(nacl.public.PrivateKey.generate().public_key)
        status, body, _ = lonja.send(b"lost", [unknown])
        check("who is nowhere is unknown", status == 404 and b64(unknown).encode() in body)
        lonja.stop()
    finally:
        lonja.process.kill()
        with open(os.path.join(folder, "serve.log"), encoding="utf-8") as log:
            said = log.read()
        if "panicked" in said or sys.exc_info()[0]:
            print(said)
    check("nothing secret was logged", b64(b"lost") not in said and "panicked" not in said)


for name, versions, decode in (("CBOR", VERSIONS, decode_cbor), ("legacy", VERSIONS_WITHOUT_CBOR, decode_legacy)):
    print(f" {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        conversation(versions, decode, folder)
