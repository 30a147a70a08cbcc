#!/usr/bin/python3
"""TLS of the agents' channels: a certificate with a P-256 key for whoever takes one, whatever it would
like better, and the RSA one for the others; nothing older than TLS 1.2."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, tap  # noqa: E402

GO = "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256:ed25519:rsa_pkcs1_sha256"  # the order of Go's clients


def shake(berth, *options):
    """What s_client tells of a handshake in which the chain and the name are verified."""
    name = f"127.0.0.1:{berth.channel_port}"
    done = subprocess.run(["openssl", "s_client", "-connect", name, "-CAfile", berth.ca, "-verify_return_error",
                           "-verify_hostname", name, "-servername", "localhost", *options],
                          input="", text=True, capture_output=True, timeout=30)
    return done.stdout + done.stderr


def signature(told):
    found = [line.split(": ")[1] for line in told.splitlines() if line.startswith("Peer signature type")]
    return found[0] if found and "Verify return code: 0 (ok)" in told else told


with Berth() as berth:
    tap.is_(signature(shake(berth, "-tls1_3")), "ECDSA", "TLS 1.3: P-256")
    tap.is_(signature(shake(berth, "-tls1_3", "-sigalgs", GO)), "ECDSA", "TLS 1.3, asked as Go asks: P-256")
    tap.is_(signature(shake(berth, "-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256")), "RSA-PSS",
            "TLS 1.3, who knows RSA only: RSA")
    tap.is_(signature(shake(berth, "-tls1_2")), "ECDSA", "TLS 1.2: P-256")
    tap.like(signature(shake(berth, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384")), "RSA",
             "TLS 1.2 with RSA suites only, as agents up to 1.70: RSA")
    old = shake(berth, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
    tap.ok("Cipher is (NONE)" in old, "TLS 1.1 is refused", old)

    for ending in ("crt", "key"):
        os.rename(f"{berth.state_dir}/tls/channel.{ending}", f"{berth.state_dir}/tls/away.{ending}")
    berth.restart()
    tap.is_(signature(shake(berth, "-tls1_3")), "RSA-PSS", "an installation with the one certificate serves that")
    os.rename(f"{berth.state_dir}/tls/away.crt", f"{berth.state_dir}/tls/channel.crt")
    os.link(f"{berth.state_dir}/tls/server.key", f"{berth.state_dir}/tls/channel.key")
    berth.stop(signal.SIGTERM)
    try:
        berth.start()
        tap.ok(False, "a certificate with another's key: berthd does not start")
    except RuntimeError:
        berth.daemon.wait(timeout=20)
        berth.daemon = None
        with open(berth.log) as log:
            tap.like(log.read(), "channel.key", "a certificate with another's key: berthd does not start, and names it")
tap.done()
