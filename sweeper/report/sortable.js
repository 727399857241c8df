"use strict";
// Tables of class "sortable" are sorted by a click on a heading. What a cell is sorted by stands in
// its data-v; an empty one goes last either way.
const sorting = {
  prepare(table) {
    for (const head of table.tHead.rows[0].cells) {
      if (head.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sorting.sort(table, head.cellIndex, down);
      });
    }
  },
  sort(table, column, down) {
    const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const [p, q] = [Number(x), Number(y)];
      const order = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q;
      return down ? -order : order;
    };
    const body = table.tBodies[0];
    body.append(...Array.from(body.rows).sort(compare));
  },
};
for (const table of document.querySelectorAll("table.sortable")) sorting.prepare(table);
