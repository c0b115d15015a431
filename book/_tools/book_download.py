"""Sphinx extension: the notebook that a page's download button serves.

It is the notebook as it was run, in plain Markdown, which any Jupyter shows: MyST's roles have
become text and links, its directives headings and folds, and glued names the numbers they stand
for. A first cell says how to get lossbook, and what is folded on the page is folded in JupyterLab.
A role or directive that has no plain form fails the build.

Where the environment variable REPOSITORY_URL holds the address of the project's repository, pages
get buttons for Colab, Binder, the source and issues as well.
"""

import base64
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from book_figures import renderings
from docutils import nodes
from nbformat import NotebookNode
from notebooks import OUTPUTS_HIDDEN, SOLUTION, fold
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)

ROLE = re.compile(r"\{(?P<name>[a-zA-Z][\w:-]*)\}`(?P<text>[^`]+)`")
TARGET = re.compile(r"^\((?P<label>[\w:-]+)\)=$")
FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,}|:{3,})(?:\{(?P<name>[\w:-]+)\})? *(?P<title>.*)$")
ADMONITIONS = ("admonition", "caution", "hint", "important", "note", "tip", "warning")
# What pyproject.toml calls the packages that chapters use.
EXTRAS = "torch,data,stats,notebook"


class Untranslated(Exception):
    """A piece of MyST that has no plain form here."""


# What a role of a page says, and where it leads: found where Sphinx resolves it.


class MarkRoles(SphinxPostTransform):
    """Wrap each cross-reference, so that what replaces it is found again by its source."""

    default_priority = 1

    def run(self) -> None:
        for reference in list(self.document.findall(pending_xref)):
            if reference.rawsource:
                mark = nodes.inline(role_source=reference.rawsource)
                reference.replace_self(mark)
                mark += reference


def collect_roles(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Note the plain text of each cross-reference of a page, and unwrap it."""
    roles = app.env.book_download_roles[docname] = {}
    marks = [node for node in doctree.findall(nodes.inline) if "role_source" in node]
    for mark in marks:
        roles[mark["role_source"]] = "".join(plain(child, docname, app) for child in mark)
        mark.replace_self(mark.children)


def plain(node: nodes.Node, docname: str, app: Sphinx) -> str:
    """A resolved inline node as Markdown."""
    if isinstance(node, nodes.Text):
        return str(node)
    inner = "".join(plain(child, docname, app) for child in node.children)
    if isinstance(node, nodes.math):
        return f"${node.astext()}$"
    if isinstance(node, nodes.emphasis):
        return f"*{inner}*"
    if isinstance(node, nodes.strong):
        return f"**{inner}**"
    if isinstance(node, nodes.literal) and "std-ref" not in node.get("classes", ()):
        return inner if "std-numref" in node["classes"] else f"`{inner}`"
    if isinstance(node, nodes.reference):
        return f"[{inner}]({address(node, docname, app)})"
    return inner


def address(reference: nodes.reference, docname: str, app: Sphinx) -> str:
    """Where a reference leads from the notebook: to the built page, or further down."""
    if "refid" in reference:
        return f"#{reference['refid']}"
    uri = reference["refuri"]
    if re.match(r"[a-z]+:", uri):
        return uri
    page = app.builder.get_target_uri(docname)
    uri = posixpath.normpath(posixpath.join(posixpath.dirname(page), uri))
    if uri.startswith(f"{page}#"):
        return uri.removeprefix(page)
    if app.config.html_baseurl:
        return posixpath.join(app.config.html_baseurl, uri)
    return posixpath.relpath(uri, posixpath.join("_sources", posixpath.dirname(docname)))


# The notebook.


class Translator:
    """Turns the MyST of one page into plain Markdown.

    Parameters
    ----------
    roles : the plain text of cross-references, by their source in reStructuredText
    glued : the glued numbers, by their names
    number : what a figure or an exercise is called, by its kind and label: "Exercise 2.3"
    """

    def __init__(
        self, roles: dict[str, str], glued: dict[str, str], number: Callable[[str, str], str]
    ):
        self.roles, self.glued, self.number = roles, glued, number

    def markdown(self, source: str) -> str:
        """Plain Markdown that says the same."""
        return "\n".join(self.lines(source.split("\n")))

    def lines(self, source: list[str]) -> Iterator[str]:
        source = list(source)
        while source:
            line = source.pop(0)
            if found := FENCE.match(line):
                body = take_body(source, found["fence"])
                if found["name"]:
                    yield from self.directive(found["name"], found["title"], body)
                else:
                    yield from (line, *body, found["fence"])
            elif found := TARGET.match(line):
                yield f'<a id="{found["label"]}"></a>'
                # Else the line below would belong to the block of HTML.
                yield ""
            else:
                yield ROLE.sub(self.role, line)

    def role(self, found: re.Match) -> str:
        name, text = found["name"], found["text"]
        if name == "glue:text":
            key, _, specification = text.partition(":")
            value = self.glued[key]
            return format(float(value), specification) if specification else value
        if name in ("math", "sub", "sup"):
            return {"math": f"${text}$"}.get(name, f"<{name}>{text}</{name}>")
        try:
            return self.roles[f":{name}:`{text}`"]
        except KeyError:
            raise Untranslated(found[0]) from None

    def directive(self, name: str, title: str, body: list[str]) -> Iterator[str]:
        """The plain lines of a directive."""
        options, body = split_options(body)
        heading = ROLE.sub(self.role, title)
        if name == "dropdown":
            yield from ("<details>", f"<summary>{heading}</summary>", "")
            yield from self.lines(body)
            yield from ("", "</details>")
        elif name in ("exercise", "exercise-start"):
            label = options["label"]
            yield f'<a id="{label}"></a>'
            yield ""
            yield f"### {self.number('exercise', label)}: {heading}".rstrip(": ")
            yield ""
            yield from self.lines(body)
        elif name in ("solution", "solution-start"):
            yield f"#### Solution of {self.number('exercise', title)}"
            yield ""
            yield from self.lines(body)
        elif name in ("exercise-end", "solution-end"):
            pass
        elif name in ADMONITIONS:
            lines = [f"**{heading or name.capitalize()}.**", "", *self.lines(body)]
            yield from (f"> {line}".rstrip() for line in lines)
        elif name == "figure":
            yield f"![{options.get('alt', '')}]({title})"
            yield from self.lines(body)
        elif name == "math":
            yield from ("$$", *body, "$$")
        elif name in ("code", "code-block"):
            yield from (f"```{title}", *body, "```")
        else:
            raise Untranslated(f"{{{name}}}")


def take_body(source: list[str], fence: str) -> list[str]:
    """Take the lines up to the closing fence out of `source`."""
    for position, line in enumerate(source):
        closing = line.strip()
        if closing and set(closing) == {fence[0]} and len(closing) >= len(fence):
            body = source[:position]
            del source[: position + 1]
            return body
    raise Untranslated(f"no end of {fence}")


def split_options(body: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options at the head of a directive, and the lines below them."""
    options = {}
    while body and (found := re.match(r"^:([\w-]+): *(.*)$", body[0])):
        options[found[1]] = found[2].strip()
        body = body[1:]
    return options, body


def glued_values(file: Path) -> dict[str, str]:
    """The glued texts, by name, from the file that myst-nb keeps beside an executed notebook."""
    glued = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {
        name: output["data"]["text/plain"].strip("'\"")
        for name, output in glued.items()
        if "text/plain" in output["data"]
    }


def plain_notebook(notebook: NotebookNode, translator: Translator, opening: str) -> NotebookNode:
    """The notebook for a reader, with `opening` as its first cell."""
    cells = [markdown_cell("lossbook", opening)]
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "markdown":
            cell.source = translator.markdown(cell.source).strip()
            if cell.source.startswith("#### Solution of "):
                cell.metadata["jp-MarkdownHeadingCollapsed"] = True
            # The end of a solution is an empty cell here.
            if cell.source:
                fold(cell)
                cells.append(cell)
            continue
        fold(cell)
        cell.outputs = [o for o in cell.outputs if "scrapbook" not in o.get("metadata", {})]
        cells.append(cell)
        if figure := cell.metadata.get("mystnb", {}).get("figure"):
            name, caption = figure["name"], translator.markdown(figure["caption"]).strip()
            text = f"*{translator.number('figure', name)}.* {caption}"
            if tags & OUTPUTS_HIDDEN - {SOLUTION}:
                text = f"<details>\n<summary>Caption</summary>\n\n{text}\n\n</details>"
            cells.append(markdown_cell(name, text, sorted(tags & {SOLUTION})))
    return nbformat.from_dict({**notebook, "cells": cells})


def markdown_cell(name: str, source: str, tags: list[str] | None = None) -> NotebookNode:
    metadata = {"tags": tags} if tags else {}
    return nbformat.v4.new_markdown_cell(source, id=name, metadata=metadata)


def opening_line(repository: str) -> str:
    """How to get lossbook, in one line."""
    if repository:
        return (
            f"To run this notebook, here or on Colab, first run `{install_line(repository)}` "
            "in a cell."
        )
    return (
        f"To run this notebook, first run `%pip install '.[{EXTRAS}]'` in a cell, with the folder "
        "of the book's project in place of the dot. On Colab, upload that folder first."
    )


def install_line(repository: str) -> str:
    """The cell that installs what a chapter needs."""
    return f"%pip install 'lossbook[{EXTRAS}] @ git+{repository}'"


# The build.


def number_of(app: Sphinx) -> Callable[[str, str], str]:
    """Says what Sphinx calls a numbered thing."""

    def number(kind: str, label: str) -> str:
        docname, anchor, *_ = app.env.get_domain("std").anonlabels[label]
        numbers = app.env.toc_fignumbers.get(docname, {}).get(kind, {}).get(anchor)
        if numbers is None:
            raise Untranslated(f"{label}, which has no number")
        return app.config.numfig_format[kind] % ".".join(map(str, numbers))

    return number


def write_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Put the plain notebooks where the download buttons point."""
    if exception or app.builder.name != "html":
        return
    executed = Path(app.env.mystnb_config.output_folder)
    for docname, roles in app.env.book_download_roles.items():
        source = executed / f"{docname}.ipynb"
        if app.env.doc2path(docname).endswith(".ipynb"):
            notebook = nbformat.read(source, as_version=4)
            keep_wide_figures(notebook)
            glued = glued_values(source.with_suffix(".glue.json"))
            translator = Translator(roles, glued, number_of(app))
            opening = opening_line(os.environ.get("REPOSITORY_URL", ""))
            try:
                notebook = plain_notebook(notebook, translator, opening)
            except (Untranslated, KeyError) as error:
                # Else the next build would find the page unchanged, and pass.
                Path(app.builder.get_outfilename(docname)).unlink()
                logger.warning("no plain form of %s", error, location=docname)
                continue
            nbformat.write(notebook, Path(app.outdir, "_sources", f"{docname}.ipynb"))


def keep_wide_figures(notebook: NotebookNode) -> None:
    """Leave of each figure the rendering for a wide window: the other is for the pages alone."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in (data := output.get("data", {})):
                wide = renderings(base64.b64decode(data["image/png"]))[0]
                data["image/png"] = base64.b64encode(wide).decode()


def forget_roles(app: Sphinx, *_arguments) -> None:
    """Only the pages of this build are translated."""
    app.env.book_download_roles = {}


def offer_repository(app: Sphinx, config) -> None:
    """Buttons that lead to the repository, and what the opening page says of them."""
    repository = os.environ.get("REPOSITORY_URL", "").rstrip("/")
    said = ""
    if repository:
        config.html_theme_options = config.html_theme_options | {
            "repository_url": repository,
            "repository_branch": "main",
            "use_repository_button": True,
            "use_source_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "colab_url": "https://colab.research.google.com",
                "binderhub_url": "https://mybinder.org",
                "notebook_interface": "jupyterlab",
            },
        }
        said = (
            "Without installing anything: click the rocket at the top of a chapter. Binder opens "
            "the chapter with all that it needs. On Colab, put this line into a cell above the "
            "first and run it.\n\n"
            f"```console\n{install_line(repository)}\n```\n"
        )
    config.myst_substitutions = {**config.myst_substitutions, "run_online": said}


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_post_transform(MarkRoles)
    app.connect("config-inited", offer_repository)
    app.connect("env-updated", forget_roles)
    app.connect("doctree-resolved", collect_roles)
    app.connect("build-finished", write_notebooks)
    # What is collected while a page is written has to reach the end of the build.
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
