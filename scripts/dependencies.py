"""Checks the dependency tree on stdin (cargo metadata): licences we accept, one HTTP client, one TLS stack."""

import json
import re
import sys
from collections import defaultdict

ACCEPTED = {
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0",
    "CDLA-Permissive-2.0", "0BSD", "BSL-1.0", "Unlicense", "CC0-1.0", "MPL-2.0",
}  # fmt: skip
ONCE = {"reqwest", "rustls", "hyper", "arrow-array", "parquet", "object_store"}
NEVER = {"aws-lc-sys", "openssl-sys", "native-tls"}


def accepted(expression: str) -> bool:
    """Whether one alternative of an SPDX expression holds only accepted licences."""
    text = expression.replace("/", " OR ")
    text = re.sub(r"[()]", " ", text)
    alternatives = [part.strip() for part in text.split(" OR ")]
    return any(all(one.strip() in ACCEPTED for one in part.split(" AND ")) for part in alternatives)


def reachable(metadata: dict) -> set[str]:
    """The packages that the binary is made of; what only tests need does not count."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    seen: set[str] = set()
    todo = [metadata["resolve"]["root"]]
    while todo:
        package = todo.pop()
        if package in seen:
            continue
        seen.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] in (None, "build") for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return seen


def faults(metadata: dict) -> list[str]:
    """One sentence for everything that must not be."""
    kept = reachable(metadata)
    packages = [package for package in metadata["packages"] if package["id"] in kept]
    versions = defaultdict(set)
    out = []
    for package in packages:
        versions[package["name"]].add(package["version"])
        licence = package["license"] or ""
        if not package["license_file"] and not accepted(licence):
            out.append(f"{package['name']} {package['version']} has the licence {licence!r}")
    out += [f"{name} stands in the tree as {sorted(versions[name])}" for name in ONCE if len(versions[name]) > 1]
    out += [f"{name} must not be in the tree" for name in NEVER if versions[name]]
    print(f"dependencies: {len(packages)} packages, {len(out)} faults")
    return out


if __name__ == "__main__":
    found = faults(json.load(sys.stdin))
    print("\n".join(found))
    sys.exit(1 if found else 0)
