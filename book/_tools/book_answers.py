"""Sphinx extension: what answers a question is folded until the reader has committed to one.

An answer begins with a cell whose first line is the comment ANSWER and ends with one whose last
line is END. All that stands between them becomes one fold. Where the cell before it shows its code
but not its outputs (`hide-output`), the outputs are part of the answer and move into the fold.
"""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode, HideInputCells
from notebooks import ANSWER, END
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)


def is_mark(node: nodes.Node, mark: str) -> bool:
    """Whether a node is a comment that begins or ends an answer."""
    return isinstance(node, nodes.raw) and node.astext().strip() == mark


def hidden_outputs(node: nodes.Node) -> list[nodes.Node]:
    """The outputs of a code cell that hides them, taken out of it."""
    if not isinstance(node, nodes.container) or node.get("hide_mode") != "output":
        return []
    outputs = [part for part in node if part.get("nb_element") == "cell_code_output"]
    for part in outputs:
        node.remove(part)
    del node["hide_mode"]
    return outputs


class FoldAnswers(SphinxPostTransform):
    """Put each answer into a fold on a page of HTML, and take the comments out of all others."""

    # Before the cells that hide their code or outputs are wrapped.
    default_priority = HideInputCells.default_priority - 1

    def run(self, **_options) -> None:
        for start in [node for node in self.document.findall(nodes.raw) if is_mark(node, ANSWER)]:
            parent = start.parent
            first = parent.index(start)
            last = next((i for i in range(first, len(parent)) if is_mark(parent[i], END)), None)
            if last is None:
                logger.warning("the answer that begins here has no end", location=start)
                continue
            content = parent[first + 1 : last]
            if self.app.builder.format == "html":
                fold = HideCodeCellNode(prompt_show="Show the answer", prompt_hide="The answer")
                fold["classes"] += ["above-input", "answer"]
                fold += [*(hidden_outputs(parent[first - 1]) if first else []), *content]
                # The theme shows one of the two prompts within a cell, and else both.
                content = [nodes.container("", fold, classes=["cell"])]
            parent[first : last + 1] = content


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.add_post_transform(FoldAnswers)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
