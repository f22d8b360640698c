"""Which lines of a Markdown page are prose, and which of those are too wide.

Not prose: code (fenced, or indented by four), tables, headings, HTML, definitions of links.
"""
import dataclasses
import re

WIDTH = 100
MARKER = re.compile(r'^( *)([-*+]|\d{1,9}[.)])( +)(?=\S)')
_OTHER = re.compile(r'^ *(?:\||#{1,6} |<[!/a-zA-Z]|\[[^\]]+\]: |(?:[-*_] *){3,}$|>)')
_FENCE = re.compile(r'^ *(```+|~~~+)')
_LINK = re.compile(r'^(?:\S+|!?\[[^\]]*\]\([^)]*\)[.,;:]?)$')


@dataclasses.dataclass
class Paragraph:
    first: int  # line numbers from 0, `last` behind the last one
    last: int
    lead: str  # what stands before the first word
    indent: str  # and before that of the other lines
    lines: list  # without both


def paragraphs(text):
    """The paragraphs of prose in a page; a list's item starts one."""
    found, open_ = [], None
    fence, depths, after_blank = None, [], True
    for number, line in enumerate(text.split('\n')):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark.group(1).startswith(fence) and not line.strip().strip('`~'):
                fence, after_blank = None, False
            continue
        if not line.strip():
            open_, after_blank = None, True
            continue
        depth = len(line) - len(line.lstrip(' '))
        item = MARKER.match(line)
        if after_blank or item:
            while depths and depth < depths[-1]:
                depths.pop()
        if mark:
            fence, open_ = mark.group(1), None
            continue
        code = open_ is None and depth >= (depths[-1] if depths else 0) + 4
        if code or _OTHER.match(line):
            open_ = None
        elif item:
            lead = item.group()
            depths.append(len(lead))
            open_ = Paragraph(number, number + 1, lead, ' ' * len(lead), [line[len(lead):]])
            found.append(open_)
        elif open_ is None:
            open_ = Paragraph(number, number + 1, ' ' * depth, ' ' * depth, [line.lstrip(' ')])
            found.append(open_)
        else:
            open_.lines.append(line.lstrip(' '))
            open_.last = number + 1
        after_blank = code and after_blank
    return found


def too_wide(line):
    """Whether a line of prose has more than WIDTH characters; one word or link alone may."""
    marker = MARKER.match(line)
    return len(line) > WIDTH and not _LINK.match(line[marker.end():].strip() if marker else line.strip())


def wide_lines(text):
    """The numbers, from 1, of the lines of prose that are too wide."""
    lines = text.split('\n')
    return [number + 1 for paragraph in paragraphs(text) for number in range(paragraph.first, paragraph.last)
            if too_wide(lines[number])]
