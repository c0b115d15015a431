// A box that scrolls can be reached with the keyboard. Boxes that are not laid out yet are asked
// when they are, and all are asked again when their size changes.
const observer = new ResizeObserver((entries) => {
  for (const { target: box } of entries) {
    box.tabIndex = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight ? 0 : -1;
  }
});
const boxes = "pre, .cell_output > .output, .pst-scrollable-table-container";
document.querySelectorAll(boxes).forEach((box) => observer.observe(box));
