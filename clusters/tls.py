"""The configuration of a cluster with TLS between its nodes: the same file, with certificates.

    bash clusters/certificates.sh authority                    # once: ~/.ray/tls
    python clusters/tls.py my-cluster.yaml > tls-cluster.yaml

Every node makes a certificate for its own addresses, signed by the authority, which travels as the token
does. Ray's gRPC then asks both sides for one: between nodes, from drivers, in `ray start`. What is no gRPC
stays as it was: the dashboard and the record on loopback, behind SSH; gradients, which gloo and NCCL send in
the clear, within the cluster's private network.
"""

from __future__ import annotations

import sys
from pathlib import Path

MOUNTED = "  ~/.ray/auth_token: ~/.ray/auth_token\n"
MOUNTS = """\
  ~/.ray/tls/ca.crt: ~/.ray/tls/ca.crt
  ~/.ray/tls/ca.key: ~/.ray/tls/ca.key
  ~/lab/certificates.sh: clusters/certificates.sh
"""
SET = "    RAY_AUTH_MODE=token\n"
VARIABLES = """\
    RAY_USE_TLS=1
    RAY_TLS_CA_CERT=$HOME/.ray/tls/ca.crt
    RAY_TLS_SERVER_CERT=$HOME/.ray/tls/node.crt
    RAY_TLS_SERVER_KEY=$HOME/.ray/tls/node.key
"""
SETUP = "  - bash ~/lab/install.sh\n"
COMMAND = "  - bash ~/lab/certificates.sh node\n"


def with_tls(text: str) -> str:
    """The text of a configuration with certificates. Raises ValueError where it has them, or is not made from
    cluster.yaml or a variant."""
    if VARIABLES in text:
        raise ValueError("it has TLS already")
    for line, more in ((MOUNTED, MOUNTS), (SET, VARIABLES), (SETUP, COMMAND)):
        if text.count(line) != 1:
            raise ValueError(f"it has no line {line.strip()!r}, as cluster.yaml has: start from that")
        text = text.replace(line, line + more)
    return text


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    try:
        print(with_tls(Path(sys.argv[1]).read_text()), end="")
    except (OSError, ValueError) as fault:
        sys.exit(f"tls.py: {sys.argv[1]}: {fault}.")


if __name__ == "__main__":
    main()
