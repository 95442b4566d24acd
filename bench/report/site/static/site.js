"use strict";
// Tables that sort and filter, and the theme. Without it the pages are complete, in their own order.
(() => {
  const root = document.documentElement;
  const KEY = "retable-theme";
  const THEMES = ["auto", "light", "dark"];

  // A file:// page may have no storage: then the choice lasts as long as the page.
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const store = (name) => { try { localStorage.setItem(KEY, name); } catch { /* not remembered */ } };
  let theme = THEMES.includes(stored()) ? stored() : "auto";
  const show = () => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
  };
  show();

  function themeButton() {
    const button = document.querySelector("button.theme");
    const label = () => { button.textContent = `Theme: ${theme}`; };
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      store(theme); show(); label();
    });
    label();
    button.hidden = false;
  }

  const keyOf = (cell) => cell.dataset.sort ?? cell.textContent.trim();
  const asNumber = (text) => (text === "" ? NaN : Number(text));
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // What is absent comes last, whichever way it is sorted.
  function compare(a, b, way) {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [asNumber(a), asNumber(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return way * (x - y);
    return way * words.compare(a, b);
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const original = [...body.rows];
    if (original.length < 2) return;
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = { ascending: "descending", descending: null }[now];
        const wanted = now === null ? "ascending" : next;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        let rows = original;
        if (wanted) {
          head.setAttribute("aria-sort", wanted);
          const way = wanted === "ascending" ? 1 : -1;
          const keyed = original.map((row) => [keyOf(row.cells[column]), row]);
          rows = keyed.sort((a, b) => compare(a[0], b[0], way)).map(([, row]) => row);
        }
        body.append(...rows);
      });
    });
  }

  function filterable(grid) {
    const rows = [...grid.querySelectorAll("tbody tr")];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const bar = document.createElement("div");
    bar.className = "filter";
    const label = document.createElement("label");
    const input = document.createElement("input");
    const count = document.createElement("output");
    input.type = "search";
    input.placeholder = "all of these words";
    input.setAttribute("aria-label", `Filter: ${grid.querySelector(".wide").ariaLabel ?? "table"}`);
    label.append("Filter ", input);
    bar.append(label, count);
    grid.prepend(bar);
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !wanted.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      count.value = wanted.length ? `${shown} of ${rows.length}` : "";
    });
  }

  // A number of a table leads to its seeds: all of them are marked, not the first alone.
  function mark() {
    document.querySelectorAll("tr.here").forEach((row) => row.classList.remove("here"));
    const place = /^#p(\d+)$/.exec(location.hash);
    if (!place) return;
    document.querySelectorAll(`tr[data-place="${place[1]}"]`).forEach((row) => row.classList.add("here"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    themeButton();
    document.querySelectorAll(".grid table").forEach(sortable);
    document.querySelectorAll(".grid[data-filter]").forEach(filterable);
    mark();
    addEventListener("hashchange", mark);
  });
})();
