// What pages do beyond showing themselves. Without this script, all of them can be read, and every form works.
// Texts only ever become text.
"use strict";

// The log of a run that goes on: lines come as events, and a lost connection is told, and goes on where it ended.
const MOST_LINES = 2000;
const log = document.querySelector("[data-follow]");
if (log) {
  const told = document.getElementById("follows");
  const source = new EventSource(log.dataset.follow);
  source.addEventListener("open", () => { told.textContent = "The run goes on; its lines appear as they are written."; });
  source.addEventListener("lines", (event) => {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 30;
    for (const line of JSON.parse(event.data)) {
      const shown = document.createElement("span");
      shown.className = line.level;
      shown.textContent = `${line.at} ${line.step ? `[${line.step}] ` : ""}${line.text}\n`;
      log.append(shown);
    }
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("ended", (event) => {
    source.close();
    told.textContent = `The run has ended: ${JSON.parse(event.data)}.`;
    location.reload();
  });
  source.addEventListener("error", () => {
    const now = new Date().toLocaleTimeString();
    if (source.readyState === EventSource.CONNECTING) told.textContent = `No connection to the server since ${now}; trying again.`;
    if (source.readyState === EventSource.CLOSED) told.textContent = `The server ended the connection at ${now}; load the page again.`;
  });
  log.scrollTop = log.scrollHeight;
}

// A classifier at other thresholds: each row has a threshold and the counts of its four kinds of rows.
const section = document.querySelector("[data-thresholds]");
if (section) {
  const rows = JSON.parse(section.dataset.thresholds);
  const slider = section.querySelector(".slider"), input = slider.querySelector("input"), output = slider.querySelector("output");
  const figure = (value) => Number.isFinite(value) ? value.toLocaleString("en", { maximumSignificantDigits: 4 }) : "–";
  const show = () => {
    const [threshold, tp, fp, fn, tn] = rows[Number(input.value)];
    const precision = tp / (tp + fp), all = tp + fp + fn + tn;
    const values = {
      tp, fp, fn, tn, precision, recall: tp / (tp + fn), f1: 2 * tp / (2 * tp + fp + fn),
      accuracy: (tp + tn) / all, lift: precision / ((tp + fn) / all),
    };
    for (const cell of section.querySelectorAll("[data-cell]")) {
      const value = values[cell.dataset.cell];
      cell.textContent = Number.isInteger(value) ? value.toLocaleString("en") : figure(value);
    }
    output.textContent = figure(threshold);
  };
  slider.hidden = false;
  input.addEventListener("input", show);
  show();
}

// A column's statistics open below its row; choosing it again closes them.
document.addEventListener("htmx:before:request", (event) => {
  const next = event.target.closest && event.target.closest("tr") && event.target.closest("tr").nextElementSibling;
  if (next && next.classList.contains("detail")) {
    event.preventDefault();
    next.remove();
  }
});

// A metric over time, enlarged: drag to zoom, double click to see all again.
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
for (const figure of document.querySelectorAll("[data-series]")) {
  if (typeof uPlot === "undefined") break;
  const button = document.createElement("button");
  button.className = "plain";
  button.textContent = "Zoom";
  button.setAttribute("aria-label", `Zoom into ${figure.dataset.title}`);
  figure.querySelector("figcaption").append(" ", button);
  button.addEventListener("click", () => {
    const [times, values] = JSON.parse(figure.dataset.series), limits = JSON.parse(figure.dataset.limits);
    const axis = { stroke: colourOf("muted"), grid: { stroke: colourOf("line") }, ticks: { show: false } };
    const place = figure.querySelector("div");
    place.replaceChildren();
    new uPlot({
      width: place.clientWidth, height: 260, axes: [axis, axis],
      series: [
        {},
        { label: figure.dataset.title, stroke: colourOf("batch"), width: 2, points: { show: times.length < 200 } },
        ...Object.keys(limits).map((key) => ({ label: key, stroke: colourOf(key.startsWith("soft") ? "warning" : "error"), dash: [6, 4], points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) })),
      ],
    }, [times, values, ...Object.values(limits)], place);
    button.remove();
  });
}
