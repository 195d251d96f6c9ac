// What pages do beyond showing themselves. Without this script, all of them can be read, and every form works.
// Texts only ever become text.
"use strict";

// The log of a run that goes on: lines come as events, and a lost connection is told, and goes on where it ended. If the
// stream does not begin, because a proxy holds it back, or is refused later, the log is asked for every two seconds.
const MOST_LINES = 2000, PATIENCE = 5000, PAUSE = 2000;
const log = document.querySelector("[data-follow]");
if (log) {
  const told = document.getElementById("follows"), address = new URL(log.dataset.follow, location);
  const tell = (text) => { if (told.textContent !== text) told.textContent = text; };
  const show = (lines) => {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 30;
    for (const line of lines) {
      const shown = document.createElement("span");
      shown.className = line.level;
      shown.textContent = `${line.at} ${line.step ? `[${line.step}] ` : ""}${line.text}\n`;
      log.append(shown);
    }
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  const end = (state) => {
    tell(`The run has ended: ${state}.`);
    location.reload();
  };
  let lost = "";
  const ask = async () => {
    try {
      const answer = await fetch(address, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status === 401 ? "The session has ended" : "No answer of the server");
      const found = await answer.json();
      lost = "";
      tell("The run goes on; its new lines are asked for every 2 s.");
      address.searchParams.set("after", found.place);
      for (const { kind, data } of found.events) kind === "lines" ? show(data) : end(data);
      if (found.ended) return;
    } catch (problem) {
      lost ||= new Date().toLocaleTimeString();
      const what = problem instanceof TypeError ? "No connection to the server" : problem.message;
      tell(`${what} since ${lost}; trying again.`);
    }
    setTimeout(ask, PAUSE);
  };
  const source = new EventSource(address);
  const giveUp = setTimeout(() => { source.close(); ask(); }, PATIENCE);
  source.addEventListener("begun", () => {
    clearTimeout(giveUp);
    lost = "";
    tell("The run goes on; its lines appear as they are written.");
  });
  source.addEventListener("lines", (event) => {
    address.searchParams.set("after", event.lastEventId);
    show(JSON.parse(event.data));
  });
  source.addEventListener("ended", (event) => { source.close(); end(JSON.parse(event.data)); });
  source.addEventListener("error", () => {
    lost ||= new Date().toLocaleTimeString();
    if (source.readyState === EventSource.CONNECTING) tell(`No connection to the server since ${lost}; trying again.`);
    if (source.readyState === EventSource.CLOSED) ask();
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
    figure.classList.add("enlarged");
    new uPlot({
      width: place.clientWidth, height: 320, axes: [axis, axis],
      series: [
        {},
        { label: figure.dataset.title, stroke: colourOf("batch"), width: 2, points: { show: times.length < 200 } },
        ...Object.keys(limits).map((key) => ({ label: key, stroke: colourOf(key.startsWith("soft") ? "warning" : "error"), dash: [6, 4], points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) })),
      ],
    }, [times, values, ...Object.values(limits)], place);
    button.remove();
  });
}
