#!/usr/bin/env python3
"""Ceilings: numbers that a rule of the tree may not pass, in a file that may only shrink.

    tests/meta/ceilings.py ROOT [--self-test]

compares tests/meta/ceilings.txt with what it was in HEAD, in the commit before and where the branch
left origin's. The gates (size_gates.py) read the file through this module. CONTRIBUTING.md says how
to lower a number.
"""
import dataclasses
import os
import pathlib
import subprocess
import sys

FILE = 'tests/meta/ceilings.txt'
SKIPPED = 77


@dataclasses.dataclass
class Rule:
    limit: int  # for all subjects without a line of their own
    ceilings: dict  # subject -> number
    exceptions: set  # subjects that need not shrink


def parse(text):
    """The rules by name. ValueError says which line is wrong."""
    rules = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split('#')[0].split()
        if not words:
            continue
        if len(words) < 3 or not words[2].isdigit() or words[3:] not in ([], ['exception']):
            raise ValueError(f'{FILE}:{number}: expected "rule subject number [exception]", found "{line}"')
        name, subject, value = words[0], words[1], int(words[2])
        if (subject == '*') == (name in rules):
            raise ValueError(f'{FILE}:{number}: a rule starts with "{name} * number", once')
        if subject == '*':
            rules[name] = Rule(value, {}, set())
            continue
        if subject in rules[name].ceilings:
            raise ValueError(f'{FILE}:{number}: "{name} {subject}" stands twice')
        rules[name].ceilings[subject] = value
        if words[3:]:
            rules[name].exceptions.add(subject)
    return rules


def judge(name, measured, text):
    """What is wrong with the measured {subject: number} under a rule, as lines of text."""
    rule = parse(text)[name]
    wrong = []
    for subject, number in sorted(measured.items()):
        ceiling = rule.ceilings.get(subject, rule.limit)
        if number > ceiling:
            wrong.append(f'{subject}: {number}; at most {ceiling} ({name})')
    for subject, ceiling in sorted(rule.ceilings.items()):
        number = measured.get(subject, 0)
        line = f'{FILE}: "{name} {subject} {ceiling}"'
        if number <= rule.limit:
            wrong.append(f'{line}: the tree holds {number}, and {rule.limit} are allowed anywhere: remove the line')
        elif number < ceiling and subject not in rule.exceptions:
            wrong.append(f'{line}: the tree holds {number}: lower it')
    return wrong


def grown(old_text, new_text):
    """Where the new file allows more than the old one, as lines of text.

    A subject may get a new name, and a folder may be split: a rule's new lines are right as long as the
    sum of its numbers is not larger. Of a limit that was lowered, the lines that this needs don't count.
    """
    wrong = []
    old, new = parse(old_text), parse(new_text)
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            wrong.append(f'rule {name} is gone')
            continue
        if after.limit > before.limit:
            wrong.append(f'{name} * {after.limit}: it was {before.limit}')
        for subject, number in after.ceilings.items():
            if number > before.ceilings.get(subject, number):
                wrong.append(f'{name} {subject} {number}: it was {before.ceilings[subject]}')
            if subject in before.ceilings and subject in after.exceptions - before.exceptions:
                wrong.append(f'{name} {subject} {number}: it was no exception')
        total = sum(number for number in after.ceilings.values() if number > before.limit)
        if total > sum(before.ceilings.values()):
            wrong.append(f'{name}: the numbers add up to {total}; they were {sum(before.ceilings.values())}')
        if len(after.exceptions) > len(before.exceptions):
            wrong.append(f'{name}: {len(after.exceptions)} exceptions; they were {len(before.exceptions)}')
    return wrong


def _git(root, *arguments):
    """What git prints, or None where it fails."""
    try:
        run = subprocess.run(['git', '-C', str(root), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return run.stdout if run.returncode == 0 else None


def check_history(root):
    """0, 1 or SKIPPED, with lines of text."""
    new = (pathlib.Path(root) / FILE).read_text()
    fork = (_git(root, 'merge-base', 'HEAD', 'origin/HEAD') or '').strip()
    compared, failed = [], False
    for revision in ['HEAD', 'HEAD~1', fork]:
        old = _git(root, 'show', f'{revision}:./{FILE}') if revision else None
        if old is None:
            continue
        compared.append(revision)
        for line in grown(old, new):
            print(f'{FILE}: {line} in {revision}; a ceiling is only ever lowered')
            failed = True
    if failed:
        return 1
    if not [revision for revision in compared if revision != 'HEAD']:
        print('skipped: no earlier commit here that holds the file')
        return SKIPPED
    print('compared with', *compared)
    return 0


def self_test():
    text = 'a * 10\na x 20\na y 15\na z 12 exception\nb * 60\n'
    edits = [('a x 20', 'a x 21'), ('a y 15', 'a y 15\na v 11'), ('a * 10', 'a * 11'), ('b * 60\n', ''),
             ('a x 20', 'a x 20 exception'), ('a y 15', 'a w 15 exception'), ('a x 20', 'a v 12\na w 11'),
             ('b * 60', 'b * 60\nb x 61')]
    kept = [('a x 20', 'a x 19'), ('a x 20', 'a v 11'), ('a y 15\n', ''), ('b * 60', 'b * 60\nc * 1\nc x 9'),
            ('a x 20', 'a renamed 20'), ('a z 12 exception', 'a w 12 exception'), ('a z 12 exception', 'a z 12'),
            ('b * 60', 'b * 50\nb x 60\nb y 51')]
    for old, new in edits:
        assert old in text and grown(text, text.replace(old, new)), f'not found: {old} -> {new}'
    for old, new in kept:
        assert old in text and not grown(text, text.replace(old, new)), f'refused: {old} -> {new}'
    assert judge('a', {'x': 20, 'y': 15, 'z': 11, 'v': 10}, text) == []
    for measured in [{'x': 21}, {'x': 19}, {'x': 10}, {'v': 11}, {'z': 13}, {'z': 10}]:
        complete = {'x': 20, 'y': 15, 'z': 12} | measured
        assert len(judge('a', complete, text)) == 1, f'not found: {measured}'
    for broken in ['a x 1', 'a * 1\na * 2', 'a * 1\na x 2\na x 3', 'a * 1\na x', 'a * 1\na x y', 'a * 1\na x 2 z']:
        try:
            parse(broken)
        except ValueError:
            continue
        raise AssertionError(f'not found: {broken!r}')
    _self_test_of_history()


def _self_test_of_history():
    import tempfile
    identity = {'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b', 'GIT_COMMITTER_NAME': 'a',
                'GIT_COMMITTER_EMAIL': 'a@b', 'GIT_CONFIG_GLOBAL': os.devnull, 'GIT_CONFIG_SYSTEM': os.devnull}
    os.environ.update(identity)
    with tempfile.TemporaryDirectory() as root:
        path = pathlib.Path(root) / FILE
        path.parent.mkdir(parents=True)
        path.write_text('a * 1\na x 5\n')
        assert check_history(root) == SKIPPED, 'without git'
        for text, expected in [('a * 1\na x 5\n', SKIPPED), ('a * 1\na x 4\n', 0), ('a * 1\na x 5\n', 1)]:
            path.write_text(text)
            if text.endswith('5\n') and expected == 1:
                assert check_history(root) == 1, 'a raise that is not committed'
            if _git(root, 'status') is None:
                assert _git(root, 'init', '-q') is not None, 'git does not run'
            _git(root, 'add', '-A')
            assert _git(root, 'commit', '-q', '-m', 'x') is not None
            assert check_history(root) == expected, f'after a commit of {text!r}'


def main():
    if sys.argv[2:] == ['--self-test']:
        return self_test()
    return check_history(sys.argv[1])


if __name__ == '__main__':
    sys.exit(main())
