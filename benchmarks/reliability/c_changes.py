"""Small changes of C code, each of which a test ought to notice.

Operators, comparisons, signs, numbers and statements are changed, token by token, in
macros too. Comments, strings, declarations and conditions of the preprocessor are left
alone; what does not compile, or compiles to the same code, is no mutant.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_INSTEAD = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "%": "*",
    "+=": "-=",
    "-=": "+=",
    "*=": "/=",
    "/=": "*=",
    "&": "|",
    "|": "&",
    "&=": "|=",
    "|=": "&=",
    "&&": "||",
    "||": "&&",
    "==": "!=",
    "!=": "==",
    "<": ">=",
    "<=": ">",
    ">": "<=",
    ">=": "<",
}
_BORDERS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_SILENT = re.compile(
    r'/\*.*?\*/|//[^\n]*|"[^"\n]*"|^ *#(?!define)[^\n]*|^ *# *define \w+ *\S*$',
    re.DOTALL | re.MULTILINE,
)
_BINARY = re.compile(r"(?<=[\w)\]}] )(?:[-+*/&|]=?|[<>]=?|[=!]=|&&|\|\||%)(?= )")
#: Between numbers with fractions, a border is as good as the next number.
_FRACTION = re.compile(r" -?(?:\d+\.|\d+e|0x|[A-Z_]{4}|fabs|vec_)")
_UNARY = re.compile(r"(?<![-\w)\]])[-!~](?=[\w(])")
_NUMBER = re.compile(r"(?<![\w.])(?:0x[\da-f.]+(?:p[-+]?\d+)?|\d[\d.]*(?:e[-+]?\d+)?)")
_STATEMENT = re.compile(
    r"^ +(?!(?:return|const|static|goto|typedef)\b)"
    r"(?:(?:break|continue)|[\w.\->\[\]* +]+ [-+*/|&^]?= [^;{}]*|\w+\([^;{}]*\));",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Change:
    """What stands from one place of a text to another, and what is to stand there."""

    line: int
    what: str
    start: int
    end: int
    new: str

    def of(self, text: str) -> str:
        """The text with the change."""
        return text[: self.start] + self.new + text[self.end :]

    def shown(self, text: str) -> str:
        """The line, and what becomes of it."""
        start = text.rfind("\n", 0, self.start) + 1
        end = text.find("\n", self.end)
        old = " ".join(text[start:end].split())
        new = " ".join(
            (text[start : self.start] + self.new + text[self.end : end]).split()
        )
        return f"{self.line}: {self.what}: {old}  ->  {new}"


def changes(path: Path) -> list[Change]:
    """All changes of a file."""
    text = path.read_text()
    code = _SILENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    return sorted(_found(code), key=lambda change: change.start)


def _found(code: str):
    def change(match, what, new):
        line = code.count("\n", 0, match.start()) + 1
        return Change(line, what, match.start(), match.end(), new)

    for match in _BINARY.finditer(code):
        yield change(match, "operator", _INSTEAD[match[0]])
        if match[0] in _BORDERS and not _FRACTION.match(code, match.end()):
            yield change(match, "border", _BORDERS[match[0]])
    for match in _UNARY.finditer(code):
        yield change(match, "sign left out", "")
    for match in _NUMBER.finditer(code):
        yield change(match, "constant", f"({match[0]} + 1)")
    for match in _STATEMENT.finditer(code):
        yield change(match, "statement left out", ";")
