"""Python and libraries against the lowest versions that are taken."""

from __future__ import annotations

from bench.doctor.installed import declared, judge_libraries, judge_python


def test_this_checkouts_bounds_are_pyprojects():
    needs, libraries = declared()
    assert needs == ">=3.11"
    assert "torch>=2.6" in libraries


def test_without_a_checkout_the_installed_metadata_say_them(tmp_path):
    needs, libraries = declared(tmp_path / "pyproject.toml")
    assert needs == ">=3.11"
    assert any(each.startswith("torch") for each in libraries)


def test_an_old_python_fails():
    assert judge_python("3.11.0", ">=3.11").mark == "ok"
    assert judge_python("3.10.14", ">=3.11").mark == "fails"


def test_versions_are_compared_as_numbers_and_not_as_text():
    found = judge_libraries(
        ["torch>=2.6", "pillow>=10.4"], {"torch": "2.10.0", "pillow": "9.9"}.get
    )
    assert found.mark == "fails"
    assert found.measured["unfit"] == {"pillow": "pillow>=10.4 has 9.9"}
    assert found.remedy == "pip install 'pillow>=10.4'"


def test_what_is_missing_fails_and_extras_are_not_needed():
    asked = ["torch>=2.6", 'pytest>=8.3; extra == "dev"']
    found = judge_libraries(asked, lambda name: None)
    assert found.mark == "fails"
    assert found.measured["versions"] == {"torch": None}


def test_a_local_build_of_the_lowest_version_will_do():
    assert judge_libraries(["torch>=2.6"], lambda name: "2.6.0+cu124").mark == "ok"
