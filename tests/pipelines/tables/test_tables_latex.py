"""LaTeX that compiles: with a TeX where one is installed, and by its grammar everywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import catalog
from lab.tracking.memory import MemoryTracker
from lab.tracking.tracker import Status
from pipelines.tables import assemble, build, exhibits, render
from pipelines.tables.latex import escaped

ENGINES = ("tectonic", "pdflatex", "lualatex", "xelatex")
COMMANDS = {
    "documentclass", "usepackage", "begin", "end", "centering", "caption", "label", "toprule", "midrule",
    "bottomrule", "cmidrule", "multicolumn", "href", "textbf", "textit", "texttt", "scriptsize",
    "footnotesize", "item", "linewidth", "input", "pm", "times", "cdot", "dagger", "bullet", "renewcommand",
    "labelitemi", "ldots", "textbar",
    "textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textquotedbl",
    "rightarrow", "resizebox", "ifdim", "width", "else", "fi", "leq", "geq", "approx", "pi", "mu", "sigma",
}  # fmt: skip
"""all that is used, each defined by LaTeX or by a package that the preamble loads"""


@pytest.fixture
def text(laboratory) -> str:
    sweep = laboratory.sweep("table6")
    for case in sweep.cases[:4]:
        laboratory.fill_case(sweep, case.label, [0.9, 0.91, 0.92])
    laboratory.run(sweep, sweep.cases[4].label, 0, 0.95)
    laboratory.run(sweep, sweep.cases[5].label, 0, 0.95, status=Status.FAILED)
    other = laboratory.sweep("table7")
    for case in other.cases:
        laboratory.fill_case(other, case.label, [0.9, 0.91, 0.92])
    tables = assemble(["table6", "table7"], laboratory.tracker, {"table6": sweep, "table7": other})
    return render(tables, "tex")


def without_escapes(text: str) -> str:
    return re.sub(r"\\[\\{}$&#_%]", "", text)


def test_braces_dollars_and_environments_balance(text: str) -> None:
    plain = without_escapes(text)
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert all(line.count("$") % 2 == 0 for line in plain.splitlines())
    stack: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []


def test_every_row_has_as_many_cells_as_the_tabular_has_columns(text: str) -> None:
    bodies = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(bodies) == 2
    for columns, body in bodies:
        rows = [line for line in body.splitlines() if line.endswith("\\\\")]
        assert len(rows) >= 4
        for row in rows:
            spanned = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row)]
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spanned) == len(columns), row
        for first, last in re.findall(r"\\cmidrule\(lr\)\{(\d+)-(\d+)\}", body):
            assert 2 <= int(first) <= int(last) <= len(columns)


def test_only_known_commands_and_ascii_are_written(text: str) -> None:
    assert text.isascii()
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= COMMANDS
    assert not re.search(r"(?<!\\)[#%~^]", text), "special characters stand escaped"
    assert not re.search(r"(?<!\\)_", re.sub(r"\\(label|input|href)\{[^}]*\}", "", text))


def test_every_number_of_ours_links_to_where_it_comes_from_in_the_report(laboratory) -> None:
    sweeps = {name: laboratory.sweep(name) for name in ("table2", "table5", "table6", "table7")}
    tables = assemble(list(sweeps), laboratory.tracker, sweeps)
    page = set(re.findall(r'id="([^"]+)"', render(tables, "html")))
    links = re.findall(r"\\href\{report\.html\\#([^}]*)\}", render(tables, "tex"))
    ours = [
        cell for table in tables for _, column, cell in table.cells() if table.kinds()[column.key] != "quoted"
    ]
    assert len(links) == len(set(links)) == len(ours)
    assert set(links) <= page


def test_what_the_record_says_cannot_become_a_command() -> None:
    assert escaped("\\input{x}_1 50% $a & ~^#") == (
        "\\textbackslash{}input\\{x\\}\\_1 50\\% \\$a \\& \\textasciitilde{}\\textasciicircum{}\\#"
    )
    assert escaped("seed ★") == "seed [U+2605]"


@pytest.mark.skipif(not any(map(shutil.which, ENGINES)), reason="no TeX is installed")
def test_a_tex_compiles_it(laboratory, tmp_path: Path) -> None:
    sweep = laboratory.sweep("table6")
    laboratory.fill_case(sweep, "8 interleaved", [0.9, 0.91, 0.92])
    build(["table6"], laboratory.tracker, {"table6": sweep}, "tex", tmp_path)
    engine = next(filter(shutil.which, ENGINES))
    quiet = [] if engine == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(
        [engine, *quiet, "tables.tex"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 0


@pytest.mark.skipif(
    not shutil.which("pdflatex"), reason="no pdflatex: apt-get install texlive-latex-recommended"
)
def test_all_exhibits_compile_no_wider_than_the_page_and_their_links_lead_to_the_report(
    tmp_path: Path,
) -> None:
    """As a bare TeX has them: the packages of texlive-latex-recommended, no others."""
    laptop, record = catalog.find_scale("laptop"), MemoryTracker()
    sweeps = {exhibit.sweep: catalog.sweeps()[exhibit.sweep](laptop) for exhibit in exhibits().values()}
    build(sorted(exhibits()), record, sweeps, "tex", tmp_path)
    source = (tmp_path / "tables.tex").read_text()
    (tmp_path / "plain.tex").write_text("\\pdfcompresslevel=0 \\pdfobjcompresslevel=0\n" + source)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "plain.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout
    assert "empty link" not in done.stdout
    linked = set(re.findall(rb"/URI ?\(report\.html#([^)]*)\)", (tmp_path / "plain.pdf").read_bytes()))
    page = render(assemble(sorted(exhibits()), record, sweeps), "html")
    assert linked
    assert {anchor.decode() for anchor in linked} <= set(re.findall(r'id="([^"]+)"', page))
