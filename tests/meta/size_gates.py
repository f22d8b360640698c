#!/usr/bin/env python3
"""Sizes that tests/meta/ceilings.txt bounds. A number fails where it passes its ceiling, and where the
tree has come down from it without the file.

    tests/meta/size_gates.py RULE ROOT [--self-test]

    folder    sources and headers in a folder of lib/ or apps/
    header    sources in a folder of lib/ that have no header of their own name
    function  lines of a function, from its signature to its closing brace
    column    lines of a page (README, CONTRIBUTING, CHANGELOG, docs/) with more than 100 characters of prose

--self-test plants one fault after another in a copy and expects each to be found.
"""
import collections
import functools
import os
import pathlib
import shutil
import sys
import tempfile

import ceilings
import functions
import prose

CODE = ('.cpp', '.h')
GENERATED = ('docs/checks.md',)

_functions_of = functools.cache(functions.functions)  # a self-test reads most files again


def _files(root, folders, suffixes):
    """Paths from root of the files below folders, sorted."""
    for folder in folders:
        for at, inner, names in os.walk(root / folder):
            inner.sort()
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield pathlib.Path(at, name).relative_to(root).as_posix()


def folder_sizes(root):
    return collections.Counter(os.path.dirname(file) for file in _files(root, ['lib', 'apps'], CODE))


def missing_headers(root):
    files = set(_files(root, ['lib'], CODE))
    return collections.Counter(os.path.dirname(file) for file in files
                               if file.endswith('.cpp') and file[:-len('.cpp')] + '.h' not in files)


def function_lengths(root):
    longest = {}
    shortest = ceilings.parse((root / ceilings.FILE).read_text())['function'].limit
    for file in _files(root, ['lib', 'apps', 'tests', 'examples', 'cmake'], CODE):
        try:
            text = (root / file).read_text()
            found = _functions_of(text) if text.count('\n') > shortest else []
        except ValueError as error:
            raise SystemExit(f'{file}: {error}')
        for function in found:
            subject = f'{file}:{function.name}'
            longest[subject] = max(longest.get(subject, 0), function.lines)
    return longest


def pages(root):
    """The pages whose prose is measured, as paths from root."""
    top = [page for page in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md') if (root / page).is_file()]
    return top + [page for page in _files(root, ['docs'], ('.md',)) if page not in GENERATED]


def wide_lines(root):
    return {page: len(prose.wide_lines((root / page).read_text())) for page in pages(root)}


def _append(copy, file, text):
    path = copy / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if path.exists() else '') + text)


def _grow(rule, copy):
    """Plants faults of a rule, each the name that the gate must print."""
    text = (copy / ceilings.FILE).read_text()
    limit = ceilings.parse(text)[rule].limit
    if rule == 'folder':
        full = max(folder_sizes(copy).items(), key=lambda item: item[1])[0]
        yield full, lambda: _append(copy, f'{full}/planted.h', '\n')
        yield 'apps/planted', lambda: [_append(copy, f'apps/planted/{i}.cpp', '\n') for i in range(limit + 1)]
    elif rule == 'header':
        yield 'lib/planted', lambda: _append(copy, 'lib/planted/planted.cpp', '\n')
        source = next(file for file in _files(copy, ['lib'], ('.cpp',)) if (copy / file).with_suffix('.h').exists())
        yield os.path.dirname(source), lambda: (copy / source).with_suffix('.h').unlink()
    elif rule == 'function':
        source = next(_files(copy, ['lib'], ('.cpp',)))
        body = 'void planted() {\n' + '  g();\n' * (limit - 1) + '}\n'
        yield f'{source}:planted', lambda: _append(copy, source, body)
        yield 'apps/planted.h:Planted::planted', lambda: _append(
            copy, 'apps/planted.h', f'class Planted {{\n public:\n{body}}};\n')
    else:
        yield 'docs/planted.md', lambda: _append(copy, 'docs/planted.md', 'word ' * 21 + '\n')
        yield 'README.md', lambda: _append(copy, 'README.md', '\n- ' + 'word ' * 21 + '\n')


def _self_test(rule, root):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)

        def fresh():
            for entry in ('lib', 'apps', 'docs', 'README.md', ceilings.FILE):
                (copy / entry).parent.mkdir(parents=True, exist_ok=True)
                if (root / entry).is_dir():
                    shutil.rmtree(copy / entry, ignore_errors=True)
                    shutil.copytree(root / entry, copy / entry)
                else:
                    shutil.copyfile(root / entry, copy / entry)
            # Of what was not copied there is nothing to judge.
            lines = (copy / ceilings.FILE).read_text().splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith('function tests/')]
            (copy / ceilings.FILE).write_text(''.join(kept))

        def judged():
            return ceilings.judge(rule, RULES[rule](copy), (copy / ceilings.FILE).read_text())

        fresh()
        assert judged() == [], f'the copy was not clean to begin with: {judged()}'
        for name, plant in _grow(rule, copy):
            plant()
            found = judged()
            assert len(found) == 1 and found[0].startswith(f'{name}: '), f'{name} was planted, and found: {found}'
            fresh()
        # A ceiling that nothing in the tree needs.
        _append(copy, ceilings.FILE, f'{rule} lib/loraproof/gone 1000\n')
        assert len(judged()) == 1 and 'remove the line' in judged()[0], judged()
    return 0


RULES = {'folder': folder_sizes, 'header': missing_headers, 'function': function_lengths, 'column': wide_lines}


def main():
    rule, root = sys.argv[1], pathlib.Path(sys.argv[2])
    if sys.argv[3:] == ['--self-test']:
        return _self_test(rule, root)
    wrong = ceilings.judge(rule, RULES[rule](root), (root / ceilings.FILE).read_text())
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
