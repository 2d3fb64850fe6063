"""Puts the mutants of a file behind switches: `crate::broken::mutant(7)` is true where mutant 7 is tried.

Mutants are those of cargo-mutants, which says what is replaced by what; tree-sitter says where the whole expression
around an operator begins and ends. A mutant stands in comments, `/*[7*/ … /*7]*/`, so that an error of the compiler leads to
it.
"""

import re
from collections import defaultdict

import tree_sitter_rust
from tree_sitter import Language, Parser

PARSER = Parser(Language(tree_sitter_rust.language()))
MARK = re.compile(r"/\*\[(\d+)\*/|/\*(\d+)\]\*/")


def offsets(source):
    """Where each line begins, in bytes."""
    starts = [0]
    for line in source.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


def span_of(mutant, source, starts):
    """The bytes that cargo-mutants replaces; it counts lines and characters from one."""

    def offset(place):
        line = source[starts[place["line"] - 1] : starts[place["line"]]]
        return starts[place["line"] - 1] + len(line.decode()[: place["column"] - 1].encode())

    return offset(mutant["span"]["start"]), offset(mutant["span"]["end"])


def is_constant(node):
    """Whether the compiler evaluates it: no variable of the environment can be read there."""
    while node is not None:
        if node.type in ("const_item", "static_item", "array_type", "const_block", "attribute_item"):
            return True
        if node.type == "function_item":
            modifiers = [child for child in node.children if child.type == "function_modifiers"]
            return any(b"const" in modifier.text.split() for modifier in modifiers)
        node = node.parent
    return False


def nodes(node):
    yield node
    for child in node.children:
        yield from nodes(child)


class File:
    """A file with its mutants; `left_out` are those that no switch can be made for, with the reason."""

    def __init__(self, source, mutants):
        self.source = source
        self.left_out = {}
        # (begin, end) → [(number, text instead)]; an empty span inserts.
        self.edits = defaultdict(list)
        starts = offsets(source)
        by_start = defaultdict(list)
        for node in nodes(PARSER.parse(source).root_node):
            by_start[node.start_byte].append(node)
        for number, mutant in mutants.items():
            begin, end = span_of(mutant, source, starts)
            made = self.edit(number, mutant, begin, end, by_start)
            if isinstance(made, str):
                self.left_out[number] = made

    def text(self, begin, end):
        return self.source[begin:end].decode()

    def edit(self, number, mutant, begin, end, by_start):
        """Adds its edit; a text says why there is none."""
        genre, new = mutant["genre"], mutant["replacement"]
        here = [node for node in by_start[begin] if node.end_byte == end]
        if genre == "FnValue":
            node = self.body(begin, by_start)
            if node is None:
                return "its body was not found"
            if is_constant(node):
                return "a constant function"
            if "impl " in mutant["function"]["return_type"]:
                return "it returns a type without a name"
            at = node.start_byte + 1
            self.edits[at, at].append((number, f"return {new};"))
            return None
        if genre in ("BinaryOperator", "UnaryOperator"):
            operators = [node for node in by_start[begin] if node.parent is not None and node.parent.type in (
                "binary_expression", "compound_assignment_expr", "unary_expression")]
            whole = next((node.parent for node in operators if node.child_count == 0), None)
            if whole is None and genre == "UnaryOperator":
                whole = next((node for node in by_start[begin] if node.type == "unary_expression"), None)
            if whole is None:
                return "its expression was not found"
            if is_constant(whole):
                return "in a constant"
            text = self.text(whole.start_byte, begin) + new + self.text(end, whole.end_byte)
            self.edits[whole.start_byte, whole.end_byte].append((number, text))
            return None
        if genre == "MatchArmGuard":
            if not here or here[0].type in ("let_condition", "let_chain"):
                return "a guard with a pattern"
            self.edits[begin, end].append((number, new))
            return None
        if genre == "MatchArm":
            arm = next((node for node in by_start[begin] if node.type == "match_arm"), None)
            if arm is None:
                return "its arm was not found"
            pattern = arm.child_by_field_name("pattern")
            condition = pattern.child_by_field_name("condition")
            if condition is not None:
                before, after = condition.start_byte, condition.end_byte
                if condition.type in ("let_condition", "let_chain"):
                    return "an arm whose guard has a pattern"
                self.edits[before, before].append((number, f"!crate::broken::mutant({number}) && ("))
                self.edits[after, after].append((number, ")"))
            else:
                at = pattern.end_byte
                self.edits[at, at].append((number, f" if !crate::broken::mutant({number})"))
            return None
        if genre == "StructField":
            whole = next((node for node in by_start[begin]), None)
            while whole is not None and whole.type != "struct_expression":
                whole = whole.parent
            if whole is None:
                return "its expression was not found"
            text = self.text(whole.start_byte, begin) + new + self.text(end, whole.end_byte)
            text = re.sub(r",\s*,", ",", re.sub(r"\{\s*,", "{", text))
            self.edits[whole.start_byte, whole.end_byte].append((number, text))
            return None
        return f"of a kind that is not known: {genre}"

    @staticmethod
    def body(begin, by_start):
        """The block of the function whose value is replaced."""
        for node in by_start[begin]:
            if node.type == "block":
                return node
        for node in by_start[begin]:
            while node is not None and node.type != "block":
                node = node.parent
            if node is not None:
                return node
        return None

    def switched(self, without):
        """The text with every mutant behind its switch, but those of `without`."""
        spans = sorted(
            (span for span, made in self.edits.items() if any(number not in without for number, _ in made)),
            key=lambda span: (span[0], -span[1]),
        )
        return self.render(0, len(self.source), spans, without)

    def render(self, begin, end, spans, without):
        parts, at = [], begin
        while spans:
            (first, last), *spans = spans
            inside = []
            # An edit that only inserts lies between the others.
            while spans and last > first and spans[0][1] <= last:
                inside.append(spans.pop(0))
            made = [(number, text) for number, text in self.edits[first, last] if number not in without]
            parts.append(self.text(at, first))
            if first == last:
                parts.extend(self.inserted(made))
            else:
                arms = " else ".join(
                    f"if crate::broken::mutant({number}) {{\n/*[{number}*/ {text} /*{number}]*/\n}}"
                    for number, text in made
                )
                numbers = [number for number, _ in made]
                opened = "".join(f"/*[{number}*/" for number in numbers)
                closed = "".join(f"/*{number}]*/" for number in reversed(numbers))
                inner = self.render(first, last, inside, without)
                parts.append(f"\n{opened}({arms} else {{\n{inner}\n}}){closed}\n")
            at = last
        parts.append(self.text(at, end))
        return "".join(parts)

    @staticmethod
    def inserted(made):
        for number, text in made:
            if text.startswith("return"):
                yield f"\nif crate::broken::mutant({number}) {{\n/*[{number}*/ {text} /*{number}]*/\n}}\n"
            else:
                yield f"/*[{number}*/{text}/*{number}]*/"


def at_fault(text, line):
    """The mutants around a line of the text (from one): the innermost first."""
    found, opened = [], []
    for number, content in enumerate(text.split("\n"), 1):
        before = list(opened)
        for mark in MARK.finditer(content):
            if mark[1]:
                opened.append(int(mark[1]))
            else:
                last = len(opened) - 1 - opened[::-1].index(int(mark[2]))
                del opened[last]
            before.extend(number for number in opened if number not in before)
        if number == line:
            found = before
            break
    return found[::-1]
