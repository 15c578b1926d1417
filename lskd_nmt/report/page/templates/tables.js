
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

  /** A box to tick for each column that may be hidden. */
  function choose(box, table, heads) {
    const places = heads.flatMap((head, column) => (head.dataset.chosen ? [column] : []));
    if (!places.length) return;
    const show = (column, isShown) => {
      for (const row of [table.tHead.rows[0], ...table.tBodies[0].rows]) row.cells[column].hidden = !isShown;
    };
    const line = element("fieldset", { class: "columns" });
    line.append(element("legend", {}, "Columns"));
    for (const column of places) {
      const label = element("label");
      const tick = element("input", { type: "checkbox" });
      tick.checked = heads[column].dataset.chosen === "shown";
      tick.addEventListener("change", () => show(column, tick.checked));
      label.append(tick, ` ${heads[column].textContent}`);
      line.append(label);
      show(column, tick.checked);
    }
    box.prepend(line);
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

    choose(box, table, heads);
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

(function choices() {
  const all = [...document.querySelectorAll(".choice")];
  const fields = [];

  /** Show one option of all choices of a label. */
  function show(label, name) {
    for (const box of all.filter((each) => each.dataset.label === label)) {
      for (const option of box.querySelectorAll(":scope > .option")) option.hidden = option.dataset.option !== name;
    }
    for (const field of fields) if (field.dataset.of === label) field.value = name;
  }

  for (const box of all) {
    const label = element("label", {}, `${box.dataset.label} `);
    const field = element("select", { "data-of": box.dataset.label });
    for (const option of box.querySelectorAll(":scope > .option")) {
      field.append(element("option", { value: option.dataset.option }, option.dataset.option));
    }
    field.addEventListener("change", () => show(box.dataset.label, field.value));
    fields.push(field);
    label.append(field);
    box.prepend(label);
    box.classList.add("works");
    show(box.dataset.label, fields.find((each) => each.dataset.of === box.dataset.label).value);
  }
})();
