"""An account at AWS, asked before anything is started: credentials, bucket, roles, kinds of machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from lab.health.configuration import PLACEHOLDER, places
from lab.health.finding import Finding, fault, fine

LOGIN = "`aws sso login`, `aws configure`, or new AWS_ variables; then this again"
REFUSALS = (
    (
        {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"},
        "the credentials for AWS have expired",
        LOGIN,
    ),
    (
        {"InvalidClientTokenId", "AuthFailure", "SignatureDoesNotMatch", "UnrecognizedClientException"},
        "AWS does not know these credentials",
        LOGIN,
    ),
    (
        {"404", "NoSuchBucket", "NoSuchEntity"},
        "does not exist",
        "Make it as docs/operator.md says, or correct its name",
    ),
    (
        {"403", "AccessDenied", "UnauthorizedOperation"},
        "these credentials may not look at it",
        "Use others, or allow it in IAM",
    ),
)
"""(AWS's codes, what is wrong, what to do)"""


def findings(config: Mapping[str, Any]) -> Iterator[Finding]:
    """What the account says. Reads alone: nothing is made and nothing costs."""
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError:
        yield fault("this environment", "it has no boto3", "pip install -c constraints.txt -e '.[cluster]'")
        return
    region = (config.get("provider") or {}).get("region")
    settings = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1}, region_name=region)

    def client(service: str) -> Any:
        return boto3.client(service, config=settings)

    found = _asked("credentials", lambda: client("sts").get_caller_identity())
    if isinstance(found, Finding):
        yield found
        return
    yield fine("credentials", f"account {found['Account']}, {found['Arn'].rpartition('/')[2]}")
    for bucket in sorted(_buckets(config)):
        answer = _asked(f"s3://{bucket}", partial(client("s3").head_bucket, Bucket=bucket))
        yield answer if isinstance(answer, Finding) else fine(f"s3://{bucket}", "is there, and may be read")
    for profile in sorted(_profiles(config)):
        look = partial(client("iam").get_instance_profile, InstanceProfileName=profile)
        answer = _asked(f"role {profile}", look)
        yield answer if isinstance(answer, Finding) else fine(f"role {profile}", "is there")
    yield from _kinds(config, client)


def _kinds(config: Mapping[str, Any], client: Callable[[str], Any]) -> Iterator[Finding]:
    """Whether the region has such machines at all; whether the account may have that many, only starting one
    tells."""
    types = config.get("available_node_types") or {}
    wanted = {
        made["node_config"]["InstanceType"]
        for made in types.values()
        if "InstanceType" in made["node_config"]
    }
    region = config["provider"].get("region")
    offered = _asked(
        f"region {region}",
        lambda: client("ec2").describe_instance_type_offerings(
            Filters=[{"Name": "instance-type", "Values": sorted(wanted)}]
        ),
    )
    if isinstance(offered, Finding):
        yield offered
        return
    there = {offer["InstanceType"] for offer in offered["InstanceTypeOfferings"]}
    for missing in sorted(wanted - there):
        yield fault(f"region {region}", f"has no {missing}", "Another region, or another InstanceType")
    if wanted <= there:
        yield fine(f"region {region}", f"has {', '.join(sorted(wanted))}")


def _buckets(config: Mapping[str, Any]) -> set[str]:
    found = (re.match(r"s3://([^/?]+)", value) for value in places(config).values())
    return {match[1] for match in found if match and PLACEHOLDER not in match[1]}


def _profiles(config: Mapping[str, Any]) -> set[str]:
    types = (config.get("available_node_types") or {}).values()
    arns = {(made["node_config"].get("IamInstanceProfile") or {}).get("Arn", "") for made in types}
    return {arn.rpartition("/")[2] for arn in arns if arn and PLACEHOLDER not in arn}


def _asked(where: str, ask: Callable[[], Any]) -> Any:
    """What AWS answers, or the finding that it does not."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        return ask()
    except NoCredentialsError:
        return fault(where, "no credentials for AWS on this machine", LOGIN)
    except ClientError as refusal:
        code = refusal.response.get("Error", {}).get("Code", "")
        words = refusal.response.get("Error", {}).get("Message", "")
        for codes, what, fix in REFUSALS:
            if code in codes:
                return fault(where, what, fix)
        return fault(where, f"AWS refuses: {code} {words}".strip(), "See what it says")
    except BotoCoreError as trouble:
        expired = "expired" in str(trouble).lower()
        what = "the credentials for AWS have expired" if expired else f"AWS cannot be asked ({trouble})"
        return fault(where, what, LOGIN)
