"""Sphinx extension: the directive `{book-index}`, the index of the book on a page of its own.

Sphinx writes its index to a file outside the table of contents. Here the same entries, those of
the `{index}` directives and roles, become ordinary text of the page that asks for them.
"""

import posixpath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment.adapters.indexentries import IndexEntries
from sphinx.util.docutils import SphinxDirective


class BookIndex(nodes.General, nodes.Element):
    """Stands for the index until all pages are read."""


class BookIndexDirective(SphinxDirective):
    """Put the index here."""

    def run(self) -> list[nodes.Node]:
        return [BookIndex()]


def entry(name: str, links: list[tuple[str, str]], folder: str) -> nodes.paragraph:
    """A name followed by links to its places: the first link is the name itself."""
    line = nodes.paragraph()
    if not links:
        line += nodes.Text(name)
    for position, (_main, uri) in enumerate(links):
        if position:
            line += nodes.Text(", ")
        label = name if position == 0 else str(position + 1)
        line += nodes.reference("", label, internal=True, refuri=posixpath.join(folder, uri))
    return line


def merged(entries: list) -> list[tuple[str, list, list]]:
    """Name, links and subentries; names that differ in case alone, as of the atlas, become one."""
    found = {}
    for name, (links, subentries, _key) in entries:
        names, all_links, all_subentries = found.setdefault(name.casefold(), ([], [], []))
        names.append(name)
        all_links.extend(links)
        all_subentries.extend(subentries)
    # The spelling with the small letter, which sorts last, is that of the middle of a sentence.
    return [(max(names), links, subentries) for names, links, subentries in found.values()]


def fill_index(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace each placeholder by the index."""
    for placeholder in list(doctree.findall(BookIndex)):
        # The entries link from the top folder of the site: climb there first.
        folder = posixpath.dirname(app.builder.get_relative_uri(docname, "genindex"))
        content = []
        for letter, entries in IndexEntries(app.env).create_index(app.builder):
            content.append(nodes.rubric("", letter))
            terms = nodes.bullet_list(classes=["book-index"])
            for name, links, subentries in merged(entries):
                item = nodes.list_item("", entry(name, links, folder))
                if subentries:
                    item += nodes.bullet_list(
                        "",
                        *[
                            nodes.list_item("", entry(subname, sublinks, folder))
                            for subname, sublinks in subentries
                        ],
                    )
                terms += item
            content.append(terms)
        placeholder.replace_self(content)


def remember_page(app: Sphinx, doctree: nodes.document) -> None:
    """Note which pages show the index."""
    pages = app.env.__dict__.setdefault("book_index_pages", set())
    pages.discard(app.env.docname)
    if next(doctree.findall(BookIndex), None) is not None:
        pages.add(app.env.docname)


def pages_to_rewrite(app: Sphinx, env) -> list[str]:
    """The index changes with any page, so that it is written in every build."""
    return sorted(getattr(env, "book_index_pages", set()) & env.found_docs)


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_node(BookIndex)
    app.add_directive("book-index", BookIndexDirective)
    app.connect("doctree-read", remember_page)
    app.connect("env-updated", pages_to_rewrite)
    app.connect("doctree-resolved", fill_index)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
