"""What GitHub is told of this repository: workflows, the citation, the branch of the site."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PUBLISH = ROOT / ".ci" / "publish"


def steps(file: Path) -> list[dict]:
    jobs = yaml.safe_load(file.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_tests_smoke_and_publishing_have_a_workflow_each():
    assert [file.stem for file in WORKFLOWS] == ["publish", "smoke", "tests"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_runs_targets_of_make_and_pinned_actions(file):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for step in steps(file):
        if "run" in step:
            assert step["run"].removeprefix("make ") in targets
        else:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        assert job["timeout-minutes"] <= 60


def test_what_runs_here_runs_there():
    told = (ROOT / ".ci" / "run").read_text()
    there = {step["run"] for file in WORKFLOWS for step in steps(file) if "run" in step}
    assert set(re.findall(r"^make .+", told, re.M)) == there - {"make published-site"}


def test_the_site_is_uploaded_from_where_make_builds_it():
    (upload,) = [s for s in steps(WORKFLOWS[0]) if "upload-pages" in s.get("uses", "")]
    assert f"--to {upload['with']['path']} " in (ROOT / "Makefile").read_text()
    (upload,) = [s for s in steps(WORKFLOWS[1]) if "upload" in s.get("uses", "")]
    assert upload["with"]["path"] == "smoke/leaderboards"


def test_the_citation_says_what_the_package_and_the_papers_say():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = re.search(r'__version__ = "(.+)"', (ROOT / "bench" / "__init__.py").read_text())
    assert version is not None
    assert (cited["version"], cited["license"]) == (version[1], project["license"])
    papers = [yaml.safe_load(f.read_text()) for f in sorted(ROOT.glob("suites/*/paper.yaml"))]
    expected = [
        (paper["title"], paper["year"], paper["authors"]) for paper in papers if paper.get("url")
    ]
    assert expected == [
        (
            each["title"],
            each["year"],
            [f"{a['given-names']} {a['family-names']}" for a in each["authors"]],
        )
        for each in cited["references"]
    ]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with an empty remote, and a site in a folder that git ignores."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "my clone"
    (folder / "site").mkdir(parents=True)
    (folder / ".gitignore").write_text("/site/\n")
    (folder / "site" / "index.html").write_text("first")
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    git(folder, "init", "--quiet")
    git(folder, "add", ".gitignore")
    git(folder, "commit", "--quiet", "--message", "Begin")
    git(folder, "remote", "add", "origin", "../remote.git")
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode()


def publish(clone: Path, *remote: str) -> None:
    subprocess.run([PUBLISH, "site", "gh-pages", *remote], cwd=clone, check=True)


def published(clone: Path) -> list[str]:
    """Return the files of the remote's branch."""
    remote = clone.parent / "remote.git"
    return git(remote, "ls-tree", "-r", "--name-only", "gh-pages").split()


def test_the_site_and_nothing_else_is_on_the_branch_of_the_remote(clone):
    publish(clone, "origin")
    assert published(clone) == [".nojekyll", "index.html"]
    # What the clone has is as it was.
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "ls-files").split() == [".gitignore"]


def test_a_later_site_follows_the_earlier_one_also_from_another_clone(clone):
    publish(clone, "origin")
    git(clone, "update-ref", "-d", "refs/heads/gh-pages")
    (clone / "site" / "index.html").rename(clone / "site" / "other.html")
    publish(clone, "origin")
    assert published(clone) == [".nojekyll", "other.html"]
    publish(clone, "origin")
    log = git(clone.parent / "remote.git", "log", "--format=%h", "gh-pages")
    assert len(log.split()) == 2


def test_the_name_of_ones_own_domain_stays(clone):
    (clone / "site" / "CNAME").write_text("example.org")
    publish(clone, "origin")
    (clone / "site" / "CNAME").unlink()
    (clone / "site" / "index.html").write_text("second")
    publish(clone, "origin")
    assert "CNAME" in published(clone)


def test_without_a_remote_the_branch_is_made_here_alone(clone):
    publish(clone)
    assert git(clone, "show", "gh-pages:index.html") == "first"
    assert git(clone.parent / "remote.git", "branch") == ""
