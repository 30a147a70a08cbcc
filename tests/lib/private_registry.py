"""A docker-registry that hands out nothing without a password."""
import subprocess
import time
import warnings

warnings.filterwarnings("ignore", category=DeprecationWarning)
import crypt  # noqa: E402

from agent_rig import free_port  # noqa: E402

USER, PASSWORD = "puller", "pass:word"


class PrivateRegistry:
    """.image is in it, and nowhere else; .client is a folder of Docker's with its credentials."""

    def __init__(self, rig):
        self.rig, self.port = rig, free_port()
        self.image = "127.0.0.1:%d/secret:1" % self.port
        self.client = rig.dir + "/client"
        with open(rig.dir + "/htpasswd", "w") as f:
            f.write("%s:%s\n" % (USER, crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))))
        with open(rig.dir + "/private.yml", "w") as f:
            f.write("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/private\n"
                    "http:\n  addr: 127.0.0.1:%d\nauth:\n  htpasswd:\n    realm: mine\n    path: %s/htpasswd\n"
                    % (rig.dir, self.port, rig.dir))
        with open(rig.dir + "/private.log", "w") as log:
            self.daemon = subprocess.Popen(["docker-registry", "serve", rig.dir + "/private.yml"],
                                           stdout=log, stderr=log)
        end = time.monotonic() + 10
        while self._docker("login", "-u", USER, "--password-stdin", "127.0.0.1:%d" % self.port).returncode:
            if time.monotonic() > end:
                raise AssertionError("the private registry does not answer")
            time.sleep(0.1)
        rig.docker("tag", rig.image, self.image)
        if self._docker("push", "-q", self.image).returncode:
            raise AssertionError("the private registry takes no image")
        rig.docker("rmi", self.image)

    def _docker(self, *words):
        return subprocess.run(["docker", "--config", self.client, "-H", "unix://" + self.rig.socket, *words],
                              input=PASSWORD.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.daemon.kill()
        self.daemon.wait()
