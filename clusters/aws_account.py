"""What cluster.yaml needs of an account at AWS, made once: a bucket, and two roles that may use it.

    python clusters/aws_account.py my-bucket > my-cluster.yaml

prints cluster.yaml with its CHANGE-MEs filled in. Repeating it changes nothing. It starts no machine; the
bucket costs what is kept in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[1]
NAME = "perceiver-lab"
THERE_ALREADY = {"EntityAlreadyExists", "LimitExceeded", "BucketAlreadyOwnedByYou"}
"""LimitExceeded: an instance profile has room for one role, and has it"""


def make(bucket: str, region: str) -> str:
    """Make what is missing; return cluster.yaml for it."""
    account = str(boto3.client("sts", region_name=region).get_caller_identity()["Account"])
    make_bucket(bucket, region)
    for role, statements in (
        ("head", [*over_bucket(bucket), *over_machines(account)]),
        ("worker", over_bucket(bucket)),
    ):
        make_role(f"{NAME}-{role}", statements)
    text = (ROOT / "cluster.yaml").read_text().replace("us-east-1", region)
    return text.replace("CHANGE-ME-BUCKET", bucket).replace("CHANGE-ME-ACCOUNT", account)


def make_bucket(bucket: str, region: str) -> None:
    """Private, encrypted by AWS's default; what an upload left unfinished goes after a week."""
    s3 = boto3.client("s3", region_name=region)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    once(s3.create_bucket, Bucket=bucket, **place)
    closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True))
    rule = {
        "ID": "unfinished",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})


def make_role(name: str, statements: list[dict[str, Any]]) -> None:
    """A role of machines, which may do what is stated and no more."""
    iam = boto3.client("iam", region_name="us-east-1")  # one for all regions
    trust = statement(["sts:AssumeRole"]) | {"Principal": {"Service": "ec2.amazonaws.com"}}
    once(iam.create_role, RoleName=name, AssumeRolePolicyDocument=policy([trust]))
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy(statements))
    once(iam.create_instance_profile, InstanceProfileName=name)
    once(iam.add_role_to_instance_profile, InstanceProfileName=name, RoleName=name)


def over_bucket(bucket: str) -> list[dict[str, Any]]:
    arn = f"arn:aws:s3:::{bucket}"
    return [
        statement(["s3:ListBucket", "s3:GetBucketLocation"], arn),
        statement(["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], f"{arn}/*"),
    ]


def over_machines(account: str) -> list[dict[str, Any]]:
    """What Ray's autoscaler does: it starts machines, gives them the workers' role, and ends them."""
    return [
        statement(["ec2:Describe*", "ec2:RunInstances", "ec2:CreateTags", "ssm:GetParameters"], "*"),
        statement(["ec2:TerminateInstances", "ec2:StopInstances", "ec2:StartInstances"], "*")
        | {"Condition": {"StringEquals": {"ec2:ResourceTag/ray-cluster-name": NAME}}},
        statement(["iam:PassRole"], f"arn:aws:iam::{account}:role/{NAME}-worker"),
    ]


def statement(actions: list[str], resource: str = "") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions} | ({"Resource": resource} if resource else {})


def policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def once(create: Any, **what: Any) -> None:
    """Create something that may be there already."""
    try:
        create(**what)
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] not in THERE_ALREADY:
            raise


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bucket")
    parser.add_argument("--region", default="us-east-1")
    arguments = parser.parse_args()
    try:
        print(make(arguments.bucket, arguments.region), end="")
    except ClientError as refusal:
        sys.exit(f"AWS refuses: {refusal.response['Error']['Message']}")


if __name__ == "__main__":
    main()
