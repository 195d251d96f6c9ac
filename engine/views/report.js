"use strict";
// Opens a column's statistics, sorts the table of columns, and searches them. Texts only ever become text.
const table = document.getElementById("drift");
if (table) {
  const body = table.tBodies[0], pairs = [...body.querySelectorAll("tr[data-column]")].map((row) => [row, row.nextElementSibling]);
  const others = [...document.querySelectorAll("#others tbody tr")];
  const nameOf = (row) => (row.cells[0].querySelector("button") || row.cells[0]).textContent;

  body.addEventListener("click", (event) => {
    const button = event.target.closest("th button");
    if (!button) return;
    const detail = button.closest("tr").nextElementSibling;
    detail.hidden = !detail.hidden;
    detail.cells[0].colSpan = [...button.closest("tr").cells].filter((cell) => cell.getClientRects().length).length;
    button.setAttribute("aria-expanded", String(!detail.hidden));
  });
  const value = (row, place) => {
    const number = parseFloat(row.cells[place].textContent.replace(/[,<\s]/g, ""));
    return Number.isNaN(number) ? -1 : number;
  };
  for (const head of table.tHead.rows[0].cells) {
    if (head.cellIndex === 2) continue; // drawings have no order
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const number = head.cellIndex > 0, was = head.getAttribute("aria-sort");
      const down = was ? was === "ascending" : number;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      pairs.sort(([a], [b]) => (number ? value(a, head.cellIndex) - value(b, head.cellIndex) : nameOf(a).localeCompare(nameOf(b))) * (down ? -1 : 1));
      body.append(...pairs.flat());
    });
  }
  table.tHead.rows[0].cells[1].setAttribute("aria-sort", "descending");
  const find = document.getElementById("find");
  if (find) find.addEventListener("input", () => {
    const wanted = find.value.toLowerCase(), is = (row) => nameOf(row).toLowerCase().includes(wanted);
    let count = 0;
    for (const [row, detail] of pairs) {
      row.hidden = !is(row);
      if (row.hidden) { detail.hidden = true; row.querySelector("button").setAttribute("aria-expanded", "false"); }
      count += !row.hidden;
    }
    for (const row of others) { row.hidden = !is(row); count += !row.hidden; }
    const rest = document.getElementById("others");
    if (rest) rest.open = wanted !== "" && others.some((row) => !row.hidden);
    document.getElementById("found").textContent = wanted ? `${count} of ${pairs.length + others.length}` : "";
  });
}
