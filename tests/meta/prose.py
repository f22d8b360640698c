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


# Kept on one line: short code and short links. What would start a block of another kind stays behind
# the word before it.
_KEPT = re.compile(r'`+[^`]{1,60}`+|\[[^\]]{1,60}\]\([^)\s]*\)')
_BLOCK = re.compile(r'^(?:[-+*]|#{1,6}|\d+[.)]|=+|-{2,}|[>|<].*|~~~.*|```.*|\[[^\]]+\]:.*)$')


def wrap(text):
    """The page with every paragraph that holds a wide line broken anew; it renders to the same text.

    ValueError for a paragraph with line breaks of its own (two spaces or a backslash at an end).
    """
    lines = text.split('\n')
    for paragraph in reversed(paragraphs(text)):
        old = lines[paragraph.first:paragraph.last]
        if not any(too_wide(line) for line in old):
            continue
        if any(line.endswith(('  ', '\\')) for line in old[:-1]):
            raise ValueError(f'line {paragraph.first + 1}: a paragraph with line breaks of its own; wrap it by hand')
        lines[paragraph.first:paragraph.last] = _wrapped(paragraph)
    return '\n'.join(lines)


def _wrapped(paragraph):
    words = []
    for word in _KEPT.sub(lambda kept: kept.group().replace(' ', '\0'), ' '.join(paragraph.lines)).split():
        if words and _BLOCK.match(word.replace('\0', ' ')):
            words[-1] += '\0' + word
        else:
            words.append(word)
    lines, line = [], paragraph.lead + words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) <= WIDTH:
            line += ' ' + word
        else:
            lines.append(line)
            line = paragraph.indent + word
    return [line.replace('\0', ' ') for line in lines + [line]]
