"""What a machine that has neither key nor token gets from others: stranger.py ADDRESS... prints it as JSON.

Every TCP port is knocked at. Where one opens, it is asked in HTTP for what Ray's servers tell, and in gRPC
for what Ray's processes do; what is answered without a refusal is listed.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request

PATIENCE = 3.0
PATHS = (
    "/api/jobs/",
    "/api/version",
    "/api/v0/nodes",
    "/nodes?view=summary",
    "/metrics",
    "/logs",
    "/version",
    "/",
)
CALLS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.NodeManagerService/GetSystemConfig",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.HealthService/CheckAlive",
    "/ray.rpc.RayletDriver/ClusterInfo",
)


def open_ports(address: str) -> list[int]:
    """One after the other: a port that is shut says so at once."""
    found = []
    for port in range(1, 65536):
        with socket.socket() as knock:
            knock.settimeout(PATIENCE)
            if knock.connect_ex((address, port)) == 0:
                found.append(port)
    return found


def told_in_http(address: str, port: int) -> dict[str, str]:
    """Path -> the beginning of what was told, of requests that were not refused."""
    told = {}
    for path in PATHS:
        try:
            with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=PATIENCE) as answer:
                told[path] = f"{answer.status} {answer.read(120)!r}"
        except urllib.error.HTTPError as refusal:
            if refusal.code not in {401, 403, 404, 405}:
                told[path] = str(refusal.code)
        except (OSError, ValueError):  # not HTTP
            break
        except Exception:
            break
    return told


def told_in_grpc(address: str, port: int) -> dict[str, str]:
    """Method -> what came back, of calls that were not refused."""
    import grpc

    told = {}
    with grpc.insecure_channel(f"{address}:{port}") as channel:
        for call in CALLS:
            try:
                answer = channel.unary_unary(call)(b"", timeout=PATIENCE)
                told[call] = f"OK {answer[:60]!r}"
            except grpc.RpcError as refusal:
                code = refusal.code()
                if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                    break  # no gRPC here
                if code not in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}:
                    told[call] = f"{code.name} {refusal.details()}"
    return told


def main(addresses: list[str]) -> None:
    report = {}
    for address in addresses:
        ports = open_ports(address)
        told = {
            port: told_in_http(address, port) | told_in_grpc(address, port) for port in ports if port != 22
        }
        report[address] = {"open": ports, "told": {port: words for port, words in told.items() if words}}
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
