"""What the documents say stays true: figures, links, the tree, and the requirements that tests cite."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RULES = "\n".join(
    (ROOT / "docs" / "spec" / f"{name}.md").read_text("utf-8")
    for name in ("protocol", "enclaves", "economics", "sessions")
)
NUMBERS = re.compile(
    r"\b(?:DEP|NODE|MODEL|CUR|DRAW|JOB|CHAL|MONEY|REP|BLOB|KEY|LOG|ATT|ENC|SIG|PROMPT|SEAL|REL|HOST|ECON|SESS)-\d+\b"
)


def bench(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme__gas_tables__are_those_of_the_committed_results():
    text = (ROOT / "README.md").read_text("utf-8")
    results = json.loads((ROOT / "bench" / "results" / "gas.json").read_text("utf-8"))
    assert bench("gas").with_tables(text, results) == text
    changed = json.loads(json.dumps(results))
    changed["jobs"]["AGREED(3, 2)"]["total"] += 1
    assert bench("gas").with_tables(text, changed) != text


def test_readme__figures_of_workers__are_those_of_the_committed_results():
    text = (ROOT / "README.md").read_text("utf-8")
    results = json.loads((ROOT / "bench" / "results" / "worker.json").read_text("utf-8"))
    assert bench("worker").with_sentence(text, results) == text
    # The target is 1% for a worker. Its enclave, which is in the figure, and what keeps that attested take the rest.
    assert max(results["idle_percent_of_a_core"]) < 1.5
    # The target is three seconds and the reveal phase, which is one block of one second when nobody is silent.
    assert results["seconds_request_block_to_settled_block"]["median"] <= 4


def test_gas__targets__are_met_by_the_committed_results():
    results = json.loads((ROOT / "bench" / "results" / "gas.json").read_text("utf-8"))
    job = results["jobs"]["AGREED(3, 2)"]
    # The target is 550,000: what bounds it is in docs/adr/0004-choices-of-disputes.md.
    assert job["total"] <= 610_000
    assert results["enclave"]["hired"]["total"] <= 200_000
    for verdict in (results["proof"]["upheld"], results["proof"]["overturned"]):
        assert verdict["challenge"] + verdict["judge"] - verdict["proof alone"] <= 300_000
    assert max(run["dearest"] for run in results["jobs"].values()) <= 0.3 * results["gas_cap"]


def test_readme__proof_table_and_plot__are_those_of_the_committed_results():
    text = (ROOT / "README.md").read_text("utf-8")
    results = json.loads((ROOT / "bench" / "results" / "proof.json").read_text("utf-8"))
    assert bench("proof").with_table(text, results) == text
    assert bench("proof").drawn(results) == (ROOT / "docs" / "img" / "proof.svg").read_text("utf-8")
    changed = json.loads(json.dumps(results))
    changed[0]["prove_s"] += 1
    assert bench("proof").with_table(text, changed) != text
    assert bench("proof").drawn(changed) != bench("proof").drawn(results)


TARGETS = {
    "A": {"prove_s": 0.15, "gas": 350_000, "proof_bytes": 4096, "rss_mb": 500, "ratio": (4, 12)},
    "B": {"prove_s": 0.35, "gas": 500_000, "rss_mb": 500, "ratio": (4, 12)},
    "C": {"prove_s": 0.8, "gas": 750_000, "rss_mb": 500, "ratio": (8, 25)},
    "M512": {"prove_s": 1, "ratio": (20, None)},
    "M1792": {"prove_s": 3, "rss_mb": 1500, "ratio": (None, None)},
}


@pytest.mark.parametrize("model", TARGETS)
def test_proofs__targets__are_met_by_the_committed_results(model):
    results = json.loads((ROOT / "bench" / "results" / "proof.json").read_text("utf-8"))
    (row,) = (row for row in results if row["model"] == model)
    limits = dict(TARGETS[model])
    fastest, hashed = limits.pop("ratio")
    assert {name: row[name] for name, limit in limits.items() if row[name] > limit} == {}
    assert fastest is None or min(row["ratio"].get("tuned", 1e9), row["ratio"].get("default", 1e9)) >= fastest
    assert hashed is None or row["ratio"]["hashed-default"] >= hashed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page__relative_links__lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_readme__tree__names_what_is_there():
    tree = re.search(r"## The tree\n\n```\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)[1]
    missing, parent = [], ROOT
    for line in tree.splitlines():
        names = [word for word in line.split("  ")[0 if line[0] != " " else 1].split() if "." in word or "/" in word]
        for name in names:
            if line[0] != " ":
                parent = ROOT / name
            path = parent if line[0] != " " else parent / name
            if not path.exists():
                missing.append(str(path.relative_to(ROOT)))
    assert not missing


def test_requirements__every_number__is_cited_by_a_test():
    numbers = re.findall(r"^\* \*\*([A-Z]+-\d+)\*\*", RULES, re.MULTILINE)
    assert len(numbers) == len(set(numbers)) > 80
    tests = "\n".join(
        path.read_text("utf-8")
        for path in (ROOT / "tests").rglob("*")
        if path.suffix in {".py", ".sol"} and path != Path(__file__)
    )
    uncited = [number for number in numbers if not re.search(rf"\b{number}\b", tests)]
    assert not uncited


def test_requirements__every_citation__exists():
    known = set(NUMBERS.findall(RULES))
    cited = {}
    for folder in ("contracts", "offchain", "tests", "scripts", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".sol", ".md"}:
                for number in NUMBERS.findall(path.read_text("utf-8")):
                    cited.setdefault(number, path)
    assert {number: str(path) for number, path in cited.items() if number not in known} == {}
