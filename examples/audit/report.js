"use strict";
// The page reads the same without this script: it only sorts, filters and shows one module's imports.

const value = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.v === undefined ? cell.textContent.toLowerCase() : Number(cell.dataset.v);
};
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : head.className === "n";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => (falling ? -1 : 1) * compare(value(a, column), value(b, column)));
    table.tBodies[0].append(...rows);
  }));
}

const findings = document.getElementById("findings-table");
if (findings) {
  const buttons = [...document.querySelectorAll("button[data-severity]")];
  const box = document.querySelector("#findings input");
  const told = document.querySelector("#findings output");
  const filter = () => {
    const wanted = new Set(buttons.filter((b) => b.ariaPressed === "true").map((b) => b.dataset.severity));
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of findings.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.has(row.dataset.severity) || !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    told.textContent = shown === findings.tBodies[0].rows.length ? "" : `${shown} shown`;
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      button.ariaPressed = button.ariaPressed === "true" ? "false" : "true";
      filter();
    });
  }
  box.addEventListener("input", filter);
}

const graph = document.querySelector("svg.graph");
if (graph) {
  const edges = JSON.parse(document.getElementById("edges").textContent);
  const chips = new Map([...graph.querySelectorAll(".chip")].map((chip) => [Number(chip.dataset.m), chip]));
  const layer = graph.querySelector(".links");
  const chooser = document.getElementById("module");
  const told = document.getElementById("links");
  const at = (chip) => [Number(chip.dataset.x), Number(chip.dataset.y)];
  const line = (from, to, kind) => {
    const [x1, y1] = at(from), [x2, y2] = at(to);
    const bend = Math.abs(y2 - y1) < 30 ? 30 : (y2 - y1) / 2;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`);
    path.setAttribute("class", kind);
    layer.append(path);
  };
  const show = (module) => {
    layer.replaceChildren();
    chips.forEach((chip) => chip.classList.remove("on", "out", "in"));
    graph.classList.toggle("busy", module !== null);
    told.textContent = "";
    if (module === null) return;
    let out = 0, into = 0;
    chips.get(module).classList.add("on");
    for (const [source, target, later] of edges) {
      if (source !== module && target !== module) continue;
      const kind = source === module ? "out" : "in";
      if (kind === "out") out += 1; else into += 1;
      chips.get(source === module ? target : source).classList.add(kind);
      line(chips.get(source), chips.get(target), later ? `${kind} later` : kind);
    }
    told.textContent = `imports ${out} (blue), is imported by ${into} (yellow); dashed: not at import time`;
  };
  const chosen = () => (chooser.value === "" ? null : Number(chooser.value));
  chooser.addEventListener("change", () => show(chosen()));
  chips.forEach((chip, module) => {
    chip.addEventListener("pointerenter", () => show(module));
    chip.addEventListener("pointerleave", () => show(chosen()));
    chip.addEventListener("click", () => {
      chooser.value = chosen() === module ? "" : String(module);
      show(chosen());
    });
  });
}
