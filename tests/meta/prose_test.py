#!/usr/bin/env python3
"""Pages with lines over 100 characters: which of them prose.py must call too wide, and how it wraps them."""
import prose

WIDE = 'word ' * 25
URL = 'https://example.org/' + 'a' * 100

CASES = [
    ('paragraph', f'# Title\n\nshort\n{WIDE}\n', [4]),
    ('list', f'- short\n  {WIDE}\n- {WIDE}\n1. {WIDE}\n   - {WIDE}\n', [2, 3, 4, 5]),
    ('paragraph of a list', f'- short\n\n  {WIDE}\n', [3]),
    ('paragraph after a list', f'- short\n\n{WIDE}\n', [3]),
    ('paragraph after a table', f'| a |\n|---|\n| b |\n\n{WIDE}\n', [5]),
    ('prose with a link', f'see [a]({URL}) and more\n', [1]),
    ('code spans', '`' + WIDE.strip() + '` and more\n', [1]),
    ('deep continuation', f'short\n      {WIDE}\n', [2]),
    ('behind a fence', f'```\n{WIDE}\n```\n{WIDE}\n', [4]),
    ('exactly 100', 'a ' * 49 + 'ab\n', []),
    ('101', 'a ' * 49 + 'abc\n', [1]),
    ('characters, not bytes', '\u00b7 ' * 50 + '\n', []),
    ('table', f'| a |\n|---|\n| {WIDE} |\n', []),
    ('heading', f'## {WIDE}\n', []),
    ('indented code', f'text:\n\n    {WIDE}\n\n    {WIDE}\n', []),
    ('indented code of a list', f'- text:\n\n      {WIDE}\n', []),
    ('fence', f'~~~ sh\n{WIDE}\n```\n{WIDE}\n~~~\n', []),
    ('fence in a list', f'- a\n  ```\n  {WIDE}\n  ```\n', []),
    ('link alone', f'{URL}\n- {URL}\n- [{WIDE}]({URL}).\n[a]: {URL} "x"\n', []),
    ('html', f'<img src="{WIDE}">\n', []),
]

for title, page, expected in CASES:
    found = prose.wide_lines(page)
    assert found == expected, f'{title}: expected {expected}, found {found}'
    wrapped = prose.wrap(page)
    assert prose.wide_lines(wrapped) == [], f'{title}: still wide: {wrapped}'
    assert wrapped.split() == page.split(), f'{title}: other words: {wrapped}'
    assert prose.wrap(wrapped) == wrapped, f'{title}: wrapped twice'
    if not expected:
        assert wrapped == page, f'{title}: nothing was to wrap'

LONG = 'a' * 92
WRAPS = [  # what would start a line, and where the break goes
    ('of a list', f'1. {LONG} bb cc dd\n', f'1. {LONG} bb\n   cc dd\n'),
    ('nested', f'- a\n  - {LONG} bb cc dd\n', f'- a\n  - {LONG} bb\n    cc dd\n'),
    ('no list begins', f'{LONG} bbbbbb - cc\n\n{LONG} bbbbbb 1. cc\n',
     f'{LONG}\nbbbbbb - cc\n\n{LONG}\nbbbbbb 1. cc\n'),
    ('short code stays whole', f'{LONG} bb `c d` e\n', f'{LONG} bb\n`c d` e\n'),
    ('short links stay whole', f'{LONG} b [c d e](f) g\n', f'{LONG} b\n[c d e](f) g\n'),
    ('other paragraphs stay', f'a\nb\n\n{LONG} bb cc dd\n', f'a\nb\n\n{LONG} bb cc\ndd\n'),
]
for title, page, expected in WRAPS:
    found = prose.wrap(page)
    assert found == expected, f'{title}: expected {expected!r}, found {found!r}'
try:
    prose.wrap(f'{WIDE}  \n{WIDE}\n')
except ValueError:
    pass
else:
    raise AssertionError('a line break was lost')
