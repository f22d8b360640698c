"""The functions of a C++ file and their lengths, from its braces alone.

A function runs from the first line of its signature to the line of its closing brace. What stands
within it (lambdas, local classes) is part of it. A lambda outside of functions, as in a table, is a
function too. Made for code in clang-format's shape; it knows no macros.
"""
import bisect
import dataclasses
import re

_SKIPPED = re.compile(
    r'//(?:[^\n\\]|\\.|\\\n)*'  # comments
    r'|/\*.*?\*/'
    r'|(?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'  # raw strings
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'"  # characters, and not the ' of 1'000
    r"|(?<![0-9a-fA-F])[uUL]'(?:[^'\\\n]|\\.)+'", re.S)
_DIRECTIVE = re.compile(r'^[ \t]*#(?:[^\n\\]|\\.|\\\n)*', re.S | re.M)
_NEXT = re.compile(r'[{}]|^[ \t]*#|\Z', re.M)
_OPERATOR = re.compile(
    r'\boperator\s*(?:\(\s*\)|\[\s*\]|<=>|->\*?|<<=|>>=|<<|>>|&&|\|\||\+\+|--|,|[-+*/%^&|!=<>]=?|~)')
_ACCESS = re.compile(r'\b(?:public|private|protected)\s*$')
_CLASS = re.compile(r'^(?:typedef\s+)?(?:class|struct|union)\b')


@dataclasses.dataclass
class Function:
    name: str
    first: int  # lines, from 1
    last: int

    @property
    def lines(self):
        return self.last - self.first + 1


@dataclasses.dataclass
class _Scope:
    kind: str  # outer (namespace), class, values (an initializer or enum), function, block (in a function)
    name: str = ''
    first: int = 0
    before: str = ''  # the text before the brace, which goes on after a member's {value}


def _blank(match):
    return re.sub(r'[^\n]', ' ', match.group())


def _flat(text):
    """The text without what stands in () and <>, which stay as empty pairs."""
    text = re.sub(r'\[\[.*?\]\]', ' ', text, flags=re.S)
    text = _OPERATOR.sub('operator_', text).replace('->', '  ')
    out, open_ = [], []
    for character in text:
        if character in '(<' and not (character == '<' and '(' in open_):
            if not open_:
                out.append(character)
            open_.append(character)
        elif character == ')' and '(' in open_:
            while open_.pop() != '(':
                pass
            if not open_:
                out.append(character)
        elif character == '>' and open_ and open_[-1] == '<':
            open_.pop()
            if not open_:
                out.append(character)
        elif not open_:
            out.append(character)
    return ''.join(out)


def _classify(text):
    """What a brace after `text` opens outside of functions: (kind, name)."""
    flat = re.sub(r'\b(?:template|alignas|requires|__attribute__)\s*(?:<>|\(\))', ' ', _flat(text)).strip()
    if re.search(r'\bnamespace\b[\w:\s]*$', flat) or re.fullmatch(r'extern', flat):
        return 'outer', ''
    if re.match(r'^enum\b', flat):
        return 'values', ''
    if _CLASS.match(flat) and '(' not in flat and '=' not in flat:
        words = re.findall(r'[\w:]+', flat.split(' : ')[0].replace('<>', ' '))
        return 'class', next((word for word in reversed(words) if word != 'final'), '')
    if '=' in flat:
        return 'values', ''
    if '(' not in flat:
        return 'values', ''
    after = flat[flat.index(')') + 1:] if ')' in flat else ''
    # In a constructor's list, a brace after a name holds a member's value, any other is the body.
    if re.search(r'(?<!:):(?!:)', after) and re.search(r'[\w>]\s*$', flat):
        return 'member', ''
    name = re.search(r'((?:[\w~]+(?:<>)?\s*::\s*)*(?:operator\b[^(]*|~?\w+))\s*\(', flat)
    return 'function', re.sub(r'\s+|<>', '', name.group(1)) if name else 'lambda'


def _lambda_before(text):
    """Whether text ends in a lambda's head: [captures](parameters) mutable -> type."""
    text = re.sub(r'->\s*[\w:<>,\s*&]+$', '', text)
    text = re.sub(r'(?:\b(?:mutable|noexcept|constexpr)\b\s*)+$', '', text).rstrip()
    if text.endswith(')'):
        depth = 0
        for at in range(len(text) - 1, -1, -1):
            depth += (text[at] == ')') - (text[at] == '(')
            if depth == 0:
                text = text[:at].rstrip()
                break
    if not text.endswith(']') or text.endswith(']]'):
        return False
    return not re.search(r'[\w\]]\s*$', text[:text.rfind('[')])  # else an array


def functions(source):
    """The functions of a file's text in the order of their ends. ValueError where braces don't pair."""
    code = _SKIPPED.sub(_blank, source)
    directives = {match.start(): match for match in _DIRECTIVE.finditer(code)}
    ends = [match.start() for match in re.finditer('\n', code)]
    found, stack, text, first = [], [], '', 0
    branches = []  # what was open at each #if, for its #else
    at = 0
    while at < len(code):
        inside = bool(stack) and stack[-1].kind in ('function', 'block', 'member')
        if inside:  # only braces and directives matter
            at = _NEXT.search(code, at).start()
            if at == len(code):
                break
        if at in directives:
            word = re.match(r'[ \t]*#\s*(\w+)', directives[at].group())
            word = word.group(1) if word else ''
            if word.startswith('if'):
                branches.append((list(stack), text, first))
            elif word in ('else', 'elif') and branches:
                saved, text, first = branches[-1]
                stack = list(saved)
            elif word == 'endif' and branches:
                branches.pop()
            at = directives[at].end()
            continue
        character = code[at]
        line = bisect.bisect_left(ends, at) + 1
        at += 1
        if character == '{':
            if inside:
                stack.append(_Scope('block'))
                continue
            if _lambda_before(text):
                name = re.search(r'(\w+)\s*(?:\[\w*\])?\s*=', _flat(text))
                kind, name = 'function', name.group(1) if name else 'lambda'
                goes_on = True
            elif not _balanced(text):  # a default argument, or a value among a call's arguments
                kind, name, goes_on = 'member', '', True
            elif stack and stack[-1].kind == 'values':
                kind, name, goes_on = 'values', '', True
            else:
                kind, name = _classify(text)
                goes_on = kind == 'member'
            if kind == 'function':
                name = '::'.join([s.name for s in stack if s.kind == 'class' and s.name] + [name])
            stack.append(_Scope(kind, name, first, text if goes_on else ''))
            text = ''
            continue
        if character == '}':
            if not stack:
                raise ValueError(f'line {line}: a closing brace without an opening one')
            scope = stack.pop()
            if scope.kind == 'function':
                found.append(Function(scope.name, scope.first, line))
            if not (stack and stack[-1].kind in ('function', 'block', 'member')):
                # What went on before the brace goes on behind it, as if the value stood in parentheses.
                text, first = (scope.before + '()', scope.first) if scope.before else ('', line)
            continue
        if inside:
            continue
        if character == ';' and _balanced(text):
            text = ''
        elif character == ',' and stack and stack[-1].kind == 'values' and _balanced(text):
            text = ''
        elif character == ':' and _ACCESS.search(text):
            text = ''
        elif text or not character.isspace():
            if not text:
                first = line
            text += character
    if stack:
        raise ValueError(f'{len(stack)} braces are not closed')
    return found


def _balanced(text):
    return text.count('(') == text.count(')') and text.count('[') == text.count(']')
