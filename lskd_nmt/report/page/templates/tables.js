
(function tables() {
  const words = new Intl.Collator(undefined, { numeric: true });

  /** Rows in the order of a column; rows without a value come last in both directions. */
  function sort(body, column, isNumeric, direction) {
    const key = (row) => {
      const cell = row.cells[column];
      if (!isNumeric) return cell.textContent.trim();
      return "sort" in cell.dataset ? Number(cell.dataset.sort) : null;
    };
    const keyed = [...body.rows].map((row) => [key(row), row]);
    keyed.sort(([a], [b]) => {
      const gap = (a === null || a === "–" || a === "") - (b === null || b === "–" || b === "");
      if (gap || a === null) return gap;
      return direction * (isNumeric ? a - b : words.compare(a, b));
    });
    body.append(...keyed.map(([, row]) => row));
  }

  for (const box of document.querySelectorAll("[data-table]")) {
    const table = box.querySelector("table");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = element("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const isAscending = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", isAscending ? "descending" : "ascending");
        sort(body, column, head.classList.contains("number"), isAscending ? -1 : 1);
      });
    });

    if (body.rows.length < 3) continue;
    const line = element("p", { class: "filter" });
    const label = element("label", {}, "Filter ");
    const input = element("input", { type: "search", autocomplete: "off", "aria-controls": table.id });
    const count = element("output", { "aria-live": "polite" });
    label.append(input);
    line.append(label, count);
    box.prepend(line);
    label.append(element("span", { class: "hidden" }, ` rows of ${table.caption.textContent}`));
    input.addEventListener("input", () => {
      const parts = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !parts.every((part) => text.includes(part));
        shown += !row.hidden;
      }
      count.textContent = parts.length ? `${shown} of ${body.rows.length} rows` : "";
    });
  }
})();
