#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JUnit files read by a real XML parser and checked against what Jenkins' junit-10.xsd, GitLab and the GitHub
reporters expect: elements, attributes, counts, unique names. approved_xml.py FILE.xml|FOLDER..."""
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

COUNTS = {"name", "tests", "failures", "errors", "time"}
RESULTS = {"failure": {"type", "message"}, "error": {"type", "message"}, "skipped": {"message"}}


def check_case(case):
    assert set(case.attrib) == {"classname", "name", "time"}, case.attrib
    tags = [child.tag for child in case]
    assert len([tag for tag in tags if tag in RESULTS]) <= 1, tags
    for child in case:
        assert child.tag in RESULTS or child.tag == "system-out", child.tag
        assert set(child.attrib) == RESULTS.get(child.tag, set()), child.attrib
        assert len(child) == 0
        if child.tag == "skipped":
            assert child.attrib["message"].split(":")[0] in ("skipped", "inconclusive"), child.attrib
    return tags


def check_file(path):
    root = ElementTree.parse(path).getroot()
    assert root.tag == "testsuites" and set(root.attrib) == COUNTS, root.attrib
    (suite,) = root
    assert suite.tag == "testsuite" and set(suite.attrib) == COUNTS | {"skipped"}, suite.attrib
    assert suite[0].tag == "properties"
    assert all(set(each.attrib) == {"name", "value"} for each in suite[0])
    cases = suite.findall("testcase")
    assert len(cases) == len(suite) - 1, "a test suite holds properties and then cases"
    names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
    assert len(set(names)) == len(names), "names are unique"
    tags = [tag for case in cases for tag in check_case(case)]
    assert int(suite.attrib["tests"]) == len(cases)
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[count]) == tags.count(tag), count
    return len(cases)


def main():
    files = []
    for argument in map(pathlib.Path, sys.argv[1:]):
        files += sorted(argument.glob("*.xml")) if argument.is_dir() else [argument]
    assert files, "no file to check"
    for file in files:
        try:
            print(f"{file.name}: {check_file(file)} cases")
        except (AssertionError, ElementTree.ParseError) as error:
            sys.exit(f"{file}: {error!r}")


if __name__ == "__main__":
    main()
