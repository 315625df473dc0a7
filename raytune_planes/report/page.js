"use strict";
// The table of trials sorts and filters, and the charts follow it; rows and columns unfold; commands are copied.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const at = (id) => document.getElementById(id);
const data = JSON.parse(at("data").textContent);
const trials = new Map((data.trials || []).map((trial) => [trial.number, trial]));
const ranges = new Map(); // number of an axis of the parallel coordinates -> [lowest, highest] height that is shown
document.documentElement.classList.add("js");

// ---- which trials are shown

const rows = all("#sorted tbody tr");
const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

function isShown(row) {
  const asked = at("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const heights = trials.get(Number(row.dataset.trial))?.heights || [];
  return asked.every((word) => words.get(row).includes(word))
    && (!at("end").value || row.dataset.end === at("end").value)
    && [...ranges].every(([i, [low, high]]) => heights[i] != null && heights[i] >= low && heights[i] <= high);
}

function follow() {
  if (!rows.length) return;
  const shown = new Set(rows.filter(isShown).map((row) => row.dataset.trial));
  const box = at("sorted").parentNode; // it keeps its height, or a chart would move away under the pointer
  box.style.minHeight = shown.size === rows.length ? "" : box.style.minHeight || `${box.getBoundingClientRect().height}px`;
  for (const row of rows) row.hidden = !shown.has(row.dataset.trial);
  for (const mark of all("svg [data-trial]")) mark.classList.toggle("out", !shown.has(mark.dataset.trial));
  at("count").textContent = shown.size === rows.length ? `${rows.length} trials` : `${shown.size} of ${rows.length} trials`;
}

function light(number, on) {
  for (const each of all(`[data-trial="${number}"]`)) each.classList.toggle("on", on);
}

// ---- sorting

function value(row, column) {
  const text = row.cells[column].textContent;
  const number = Number(text.split(" ")[0].replaceAll(",", ""));
  return text === "-" ? null : Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
  return typeof a === "number" ? -1 : 1;
}

function sort(head) {
  const way = head.getAttribute("aria-sort") === "descending" ? "ascending"
    : head.getAttribute("aria-sort") === "ascending" ? "descending"
    : typeof value(rows[0], head.cellIndex) === "number" && head.cellIndex ? "descending" : "ascending";
  for (const each of head.parentNode.cells) each.setAttribute("aria-sort", each === head ? way : "none");
  const known = rows.filter((row) => value(row, head.cellIndex) !== null);
  known.sort((a, b) => compare(value(a, head.cellIndex), value(b, head.cellIndex)) * (way === "ascending" ? 1 : -1));
  const unknown = rows.filter((row) => value(row, head.cellIndex) === null); // last in either direction
  rows[0].parentNode.append(...known, ...unknown);
}

if (rows.length) {
  rows[0].parentNode.prepend(...all("#sorted tr.best")); // until the table is sorted: it may be long
  for (const head of all("#sorted thead th")) head.firstChild.addEventListener("click", () => sort(head));
  for (const id of ["words", "end"]) at(id).addEventListener("input", follow);
  for (const row of rows) {
    row.addEventListener("pointerenter", () => light(row.dataset.trial, true));
    row.addEventListener("pointerleave", () => light(row.dataset.trial, false));
  }
  at("reset").addEventListener("click", () => {
    at("words").value = at("end").value = "";
    ranges.clear();
    drawAll();
    follow();
  });
}

// ---- folding, copying, moving within the page

for (const button of all(".unfold")) {
  const what = button.textContent.replace("Show ", "");
  button.addEventListener("click", () => {
    const folded = at(button.getAttribute("aria-controls")).classList.toggle("folded");
    button.setAttribute("aria-expanded", String(!folded));
    button.textContent = `${folded ? "Show" : "Hide"} ${what}`;
  });
}

async function copy(button) {
  const source = button.previousElementSibling;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch { // a page in a frame, or from a place that is not secure, has no clipboard
    getSelection().selectAllChildren(source);
    if (!document.execCommand("copy")) said = "Press Ctrl+C";
  }
  button.textContent = said;
  setTimeout(() => { button.textContent = "Copy"; }, 2500);
}
for (const button of all(".copy")) button.addEventListener("click", () => copy(button));

for (const link of all('a[href^="#"]')) {
  link.addEventListener("click", (event) => { // the frame in which MLflow shows the page has no address to jump to
    event.preventDefault();
    const part = document.querySelector(`${link.getAttribute("href")} h2`);
    part.scrollIntoView();
    part.focus({ preventScroll: true });
  });
}

// ---- what is under the pointer, or has the focus

function tell(mark, text) {
  mark.setAttribute("aria-label", text);
  const show = () => {
    const tip = at("tip"), box = mark.getBoundingClientRect();
    tip.textContent = text;
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(box.right + 8, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(4, Math.min(box.top, innerHeight - tip.offsetHeight - 4))}px`;
    if (mark.dataset.trial) light(mark.dataset.trial, true);
  };
  const hide = () => {
    at("tip").hidden = true;
    if (mark.dataset.trial) light(mark.dataset.trial, false);
  };
  for (const kind of ["pointerenter", "focus"]) mark.addEventListener(kind, show);
  for (const kind of ["pointerleave", "blur"]) mark.addEventListener(kind, hide);
  mark.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}

function about(trial) {
  const entries = (of) => Object.entries(of).map(([name, v]) => `${name}  ${typeof v === "number" ? v.toFixed(4) : v ?? "-"}`);
  const head = `Trial ${trial.number}${trial.best ? ", best" : ""}: ${trial.end}${trial.feasible ? "" : ", misses a floor"}`;
  return [head, ...entries(trial.metrics), "", ...entries(trial.settings)].join("\n");
}
