"use strict";
// Draws histograms as they come into view, opens a column's statistics (what both sides have as reference → batch), sorts
// and searches. Texts only ever become text.
const data = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes, parent) {
  const svg = ["svg", "rect", "path", "line", "text", "title", "g"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (parent) parent.append(made);
  return made;
}

// What the bars are: ranges of numbers between edges, or categories; then what is none of them.
function labelsOf(column) {
  const edges = column.edges;
  const named = !edges ? column.labels : !edges.length ? ["all values"]
    : ["up to " + edges[0], ...edges.slice(1).map((edge, i) => edges[i] + " to " + edge), "above " + edges.at(-1)];
  return [...named, ...column.extra];
}

const percent = (share) => (100 * share).toPrecision(3).replace(/\.?0+$/, "") + " %";

// The batch as bars on the reference as a line: each side's share of its rows, bin by bin.
function draw(place, column, height, labelled) {
  if (place.firstChild) return;
  const shares = column.counts.map((side) => {
    const rows = side.reduce((sum, count) => sum + count, 0) || 1;
    return side.map((count) => count / rows);
  });
  const labels = labelsOf(column), bins = labels.length, shown = labelled ? bins : Math.min(bins, 24);
  const width = labelled ? 420 : 190, below = labelled ? 16 : 0;
  const top = Math.max(0.0001, ...shares.flat()), step = width / shown;
  const said = shares[0].map((share, i) => `${labels[i]}: ${percent(share)} of the reference, ${percent(shares[1][i])} of the batch`);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height + below}`, role: "img" }, place);
  svg.setAttribute("aria-label", column.name + ". " + said.slice(0, 12).join("; "));
  const y = (share) => height - (share / top) * (height - 2);
  let line = "";
  for (let i = 0; i < shown; i++) {
    const aside = i >= bins - column.extra.length;
    const bar = element("g", {}, svg);
    element("rect", { x: i * step, y: 0, width: step, height, fill: "transparent" }, bar);
    element("rect", { class: aside ? "aside" : "batch", x: i * step + step * 0.12, width: step * 0.76, y: y(shares[1][i]), height: height - y(shares[1][i]) }, bar);
    element("title", {}, bar).textContent = said[i];
    line += `M${i * step + 1},${y(shares[0][i])}H${(i + 1) * step - 1}`;
  }
  element("line", { class: "base", x1: 0, x2: width, y1: height, y2: height }, svg);
  element("path", { class: "reference", d: line }, svg);
  if (labelled) write(svg, column, height + 12, width, step);
}

// The edges between the bars of numbers, the names under the others; those that would touch are left out.
function write(svg, column, y, width, step) {
  const edges = column.edges || [], named = edges.length ? edges.length + 1 : 0;
  const texts = edges.map((edge, i) => [(i + 1) * step, edge]);
  labelsOf(column).forEach((label, i) => i >= named && texts.push([(i + 0.5) * step, label]));
  let free = 0;
  for (const [x, label] of texts) {
    const said = label.length > 14 ? label.slice(0, 13) + "…" : label, half = said.length * 2.9;
    const at = Math.min(Math.max(x, half), width - half);
    if (at - half < free) continue;
    free = at + half + 6;
    element("text", { x: at, y, "text-anchor": "middle" }, svg).textContent = said;
  }
}

const table = document.getElementById("drift");
const rows = table ? [...table.tBodies[0].rows] : [];
const columnOf = (row) => data.columns[Number(row.dataset.column)];
const drawRow = (row) => draw(row.querySelector(".draw"), columnOf(row), 40, false);
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    drawRow(entry.target);
    seen.unobserve(entry.target);
  }
}, { rootMargin: "400px" });
rows.slice(0, 30).forEach(drawRow);
rows.slice(30).forEach((row) => seen.observe(row));
addEventListener("beforeprint", () => rows.forEach(drawRow));

function toggle(row) {
  const button = row.querySelector("th button"), open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) return void row.nextElementSibling.remove();
  const detail = element("tr", { class: "detail" });
  const shown = [...row.cells].filter((cell) => cell.getClientRects().length).length;
  const beside = element("div", { class: "beside" }, element("td", { colspan: shown }, detail));
  draw(element("div", { class: "draw" }, beside), columnOf(row), 150, true);
  const list = element("dl", {}, beside);
  const column = columnOf(row), names = data.statistics[column.shape];
  names.forEach((name, i) => {
    const before = names.indexOf("reference_" + name);
    if (name.startsWith("reference_") && names.includes(name.slice(10))) return;
    const pair = element("div", {}, list);
    element("dt", {}, pair).textContent = name.replaceAll("_", " ");
    element("dd", {}, pair).textContent = before < 0 ? column.values[i] : column.values[before] + " → " + column.values[i];
  });
  row.after(detail);
}

if (table) {
  table.tBodies[0].addEventListener("click", (event) => {
    const button = event.target.closest("th button");
    if (button) toggle(button.closest("tr"));
  });
  for (const head of table.tHead.rows[0].cells) {
    if (!head.dataset.sort) continue;
    head.querySelector("button").addEventListener("click", () => {
      const number = head.dataset.sort === "number", was = head.getAttribute("aria-sort");
      const down = was ? was === "ascending" : number;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.querySelectorAll(".detail").forEach((detail) => toggle(detail.previousElementSibling));
      const value = (row) => number ? Number(row.cells[head.cellIndex].dataset.value) : columnOf(row).name;
      rows.sort((a, b) => (number ? value(a) - value(b) : value(a).localeCompare(value(b))) * (down ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  }
  const find = document.getElementById("find");
  if (find) find.addEventListener("input", () => {
    const wanted = find.value.toLowerCase();
    table.querySelectorAll(".detail").forEach((detail) => toggle(detail.previousElementSibling));
    for (const row of rows) row.hidden = !columnOf(row).name.toLowerCase().includes(wanted);
    const count = rows.filter((row) => !row.hidden).length;
    document.getElementById("found").textContent = wanted ? `${count} of ${rows.length}` : "";
  });
}
