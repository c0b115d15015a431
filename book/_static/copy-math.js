// A copied formula is its LaTeX, between dollar signs.
document.addEventListener("copy", (event) => {
  const selection = getSelection();
  if (selection.isCollapsed || !event.clipboardData) return;
  const range = selection.getRangeAt(0).cloneRange();
  const formulaAt = (node) => (node.closest ? node : node.parentElement)?.closest(".math");
  const first = formulaAt(range.startContainer);
  const last = formulaAt(range.endContainer);
  if (first) range.setStartBefore(first);
  if (last) range.setEndAfter(last);
  const copied = document.createElement("div");
  copied.append(range.cloneContents());
  const formulas = copied.querySelectorAll(".math:has(annotation)");
  if (!formulas.length) return;
  for (const formula of formulas) {
    const dollars = formula.tagName === "DIV" ? "$$" : "$";
    formula.textContent = dollars + formula.querySelector("annotation").textContent + dollars;
  }
  document.body.append(copied);
  event.clipboardData.setData("text/plain", copied.innerText);
  copied.remove();
  event.preventDefault();
});
