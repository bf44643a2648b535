#!/usr/bin/env python3
"""Every dependency's licence is permissive (CDLA for root certificates): read from `cargo metadata`, checked here."""

import json
import re
import subprocess
import sys

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib",
}


# Packages that name no SPDX expression, read by hand: what their LICENSE file begins with.
BY_HAND = {"rsip": "MIT", "rsip-derives": "MIT"}


def allowed(expression: str) -> bool:
    """An SPDX expression: any branch of OR, all parts of AND."""
    expression = expression.replace("/", " OR ").strip()
    while True:
        inner = re.search(r"\(([^()]*)\)", expression)
        if not inner:
            break
        expression = expression.replace(inner.group(0), "MIT" if allowed(inner.group(1)) else "NO")
    return any(all(part.strip() in ALLOWED for part in branch.split(" AND ")) for branch in expression.split(" OR "))


def main() -> int:
    out = subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], check=True, capture_output=True)
    packages = json.loads(out.stdout)["packages"]
    bad = [f"{p['name']} {p['version']}: {p['license']}" for p in packages if not allowed(p["license"] or BY_HAND.get(p["name"], "none"))]
    if bad:
        print("licences that are not allowed:", *bad, sep="\n  ")
        return 1
    print(f"licences: {len(packages)} packages, all permissive")
    return 0


if __name__ == "__main__":
    sys.exit(main())
