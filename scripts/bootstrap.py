"""Fill .toolchain/ with anvil, forge, OpenZeppelin and solc, as pinned in scripts/toolchain/package.json.

    python scripts/bootstrap.py                  # everything
    python scripts/bootstrap.py --only anvil     # what `make demo` needs
    python scripts/bootstrap.py --solc native    # a native compiler, downloaded, instead of npm's: faster

Idempotent: what is there at the right version is left alone. Writes nothing outside the clone.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
TOOLCHAIN = ROOT / ".toolchain"
MODULES = TOOLCHAIN / "node_modules"
SOURCES = ROOT / "scripts" / "toolchain"

PACKAGES = {
    "anvil": "@foundry-rs/anvil",
    "forge": "@foundry-rs/forge",
    "openzeppelin": "@openzeppelin/contracts",
    "solc": "solc",
}

# The wrappers find the clone from where they stand, so that a clone can be moved. HOME points inside it:
# Foundry and Brownie both keep caches and settings in the home directory.
WRAPPER = """#!/bin/sh
toolchain=$(cd "$(dirname "$0")/.." && pwd)
export HOME="$toolchain/home" {environment}
exec {command} "$@"
"""


def fail(message: str) -> NoReturn:
    sys.exit(f"bootstrap: {message}")


def load(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def installed_versions() -> dict[str, str]:
    """What npm finished installing: it writes this file last, so an interrupted install does not count."""
    record = MODULES / ".package-lock.json"
    packages = load(record)["packages"] if record.is_file() else {}
    return {path.removeprefix("node_modules/"): entry["version"] for path, entry in packages.items()}


def install_packages(wanted: set[str]) -> None:
    """Install exact versions, then hold what npm fetched against the recorded hashes.

    No package-lock.json: one made where a platform's optional package was unavailable leaves that platform
    without a binary. package-integrity.json does the lock's other job.
    """
    manifest = load(SOURCES / "package.json")
    versions: dict[str, str] = manifest["dependencies"]
    here = installed_versions()
    if all(here.get(name) == versions[name] for name in wanted):
        return
    TOOLCHAIN.mkdir(exist_ok=True)
    manifest["dependencies"] = {name: versions[name] for name in versions if name in wanted or name in here}
    (TOOLCHAIN / "package.json").write_text(json.dumps(manifest, indent=2))
    npm = shutil.which("npm") or fail("npm is not on PATH; install Node.js 20 or newer")
    options = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    env = os.environ | {"npm_config_cache": str(TOOLCHAIN / "npm-cache")}
    done = subprocess.run([npm, "install", *options], cwd=TOOLCHAIN, env=env, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        fail("npm could not install the packages of scripts/toolchain/package.json (see above); run make again")
    check_integrity()


def check_integrity() -> None:
    recorded = load(SOURCES / "package-integrity.json")
    packages = load(MODULES / ".package-lock.json")["packages"]
    for path, entry in packages.items():
        key = f"{path.removeprefix('node_modules/')}@{entry['version']}"
        if key in recorded and entry["integrity"] != recorded[key]:
            shutil.rmtree(MODULES)
            fail(f"{key} is not the package that was recorded in scripts/toolchain/package-integrity.json")


def native_binary(tool: str) -> Path:
    """npm's own launcher hides exit codes, so call the binary of this platform's package itself."""
    found = sorted((MODULES / "@foundry-rs").glob(f"{tool}-*/bin/{tool}"))
    return found[0] if found else fail(f"npm has no {tool} for this platform (Linux and macOS are supported)")


def write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def write_wrapper(tool: str, command: str, environment: str = "") -> None:
    write_script(TOOLCHAIN / "bin" / tool, WRAPPER.format(command=command, environment=environment))


def wrap_anvil() -> None:
    """Under its plain name (Brownie knows no other), with the 2^24 gas limit per transaction of EIP-7825."""
    binary = native_binary("anvil").relative_to(TOOLCHAIN)
    write_wrapper("anvil", f'"$toolchain/{binary}" --enable-tx-gas-limit')


def wrap_forge() -> None:
    binary = native_binary("forge").relative_to(TOOLCHAIN)
    config = 'FOUNDRY_CONFIG="${FOUNDRY_CONFIG:-$toolchain/../scripts/toolchain/foundry.toml}"'
    write_wrapper("forge", f'"$toolchain/{binary}"', config)


def wrap_brownie() -> None:
    environment = 'SOLCX_BINARY_PATH="$toolchain/solcx" PATH="$toolchain/bin:$PATH"'
    write_wrapper("brownie", '"$toolchain/../.venv/bin/brownie"', environment)


def install_solc(version: str, *, native: bool) -> None:
    """Put `solc-v<version>` where py-solc-x looks: Brownie, forge, slither and the exporter all use it."""
    folder = TOOLCHAIN / "solcx"
    folder.mkdir(exist_ok=True)
    solc = folder / f"solc-v{version}"
    if native:
        os.environ["SOLCX_BINARY_PATH"] = str(folder)
        import solcx  # of the `brownie` extra: only here

        solc.unlink(missing_ok=True)
        solcx.install_solc(version)
        return
    node = shutil.which("node") or fail("node is not on PATH; install Node.js 20 or newer")
    query = "console.log(require(process.argv[1]).version())"
    command = [node, "-e", query, str(MODULES / "solc")]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    full_version = answer.stdout.strip()
    if not full_version.startswith(f"{version}+commit."):
        fail(f"npm's solc says it is {full_version}, not {version}")
    shutil.copyfile(SOURCES / "solc_shim.cjs", folder / "solc_shim.cjs")
    write_script(
        solc,
        "#!/bin/sh\n"
        'folder=$(cd "$(dirname "$0")" && pwd)\n'
        'if [ "$1" = --version ]; then\n'
        f"  printf 'solc, the solidity compiler commandline interface\\nVersion: {full_version}\\n'; exit 0\n"
        "fi\n"
        'SOLC_JS="$folder/../node_modules/solc" exec node --no-warnings "$folder/solc_shim.cjs" "$@"\n',
    )


def main(arguments: Iterable[str] | None = None) -> None:
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--only", choices=["anvil"], help="install this tool and nothing else")
    parser.add_argument("--solc", choices=["js", "native"], default=os.environ.get("SOLC", "js"))
    options = parser.parse_args(None if arguments is None else list(arguments))

    tools = [options.only] if options.only else list(PACKAGES)
    install_packages({PACKAGES[tool] for tool in tools})
    for folder in ("home", "brownie"):
        (TOOLCHAIN / folder).mkdir(exist_ok=True)
    wrap_anvil()
    if options.only:
        return
    wrap_forge()
    wrap_brownie()
    install_solc(load(SOURCES / "package.json")["dependencies"]["solc"], native=options.solc == "native")


if __name__ == "__main__":
    main()
