
(function sentences() {
  const data = JSON.parse(document.getElementById("sentences-data").textContent);
  if (!data) return;
  const PAGE = 20;
  const form = document.getElementById("search");
  const list = document.getElementById("sentences");
  const boxes = document.getElementById("systems");
  const fields = form.elements;
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const length = data.reference.map((text) => text.length);
  const folded = new Map(); // of a list of texts, made when it is first searched
  const foldedOf = (texts) => {
    if (!folded.has(texts)) folded.set(texts, texts.map(fold));
    return folded.get(texts);
  };
  let found = [];
  let page = 0;

  data.systems.forEach((system, number) => {
    const label = element("label");
    const box = element("input", { type: "checkbox", value: String(number) });
    box.checked = system.shown;
    label.append(box, ` ${system.name}`);
    boxes.append(label);
  });

  const shown = () => [...boxes.querySelectorAll("input:checked")].map((box) => data.systems[Number(box.value)]);

  const KINDS = {
    all: () => true,
    differ: (row, systems) => systems.some((system) => system.translations[row] !== systems[0].translations[row]),
    same: (row, systems) => systems.every((system) => system.translations[row] === systems[0].translations[row]),
    right: (row, systems) => systems.some((system) => system.translations[row] === data.reference[row]),
  };

  function search() {
    const systems = shown();
    const wish = fold(fields.text.value.trim());
    const where = fields.where.value;
    const texts = [];
    if (data.source && (where === "all" || where === "source")) texts.push(data.source);
    if (where === "all" || where === "reference") texts.push(data.reference);
    if (where === "all" || where === "translations") texts.push(...systems.map((system) => system.translations));
    const sides = wish ? texts.map(foldedOf) : [];
    const isKind = KINDS[fields.which.value];
    found = [];
    for (let row = 0; row < data.reference.length; row += 1) {
      if ((!wish || sides.some((side) => side[row].includes(wish))) && isKind(row, systems)) found.push(row);
    }
    const direction = { short: 1, long: -1 }[fields.order.value];
    if (direction) found.sort((a, b) => direction * (length[a] - length[b]));
    page = 0;
    show();
  }

  /** A translation, with the words marked that the reference has not, or not as often. */
  function marked(text, reference) {
    const left = new Map();
    for (const word of fold(reference).split(/\s+/)) left.set(word, (left.get(word) || 0) + 1);
    return text.split(/(\s+)/).filter(Boolean).map((word) => {
      const key = fold(word);
      if (!key.trim()) return document.createTextNode(word);
      const rest = left.get(key) || 0;
      left.set(key, rest - 1);
      return rest > 0 ? document.createTextNode(word) : element("mark", {}, word);
    });
  }

  function line(rows, name, text, lang, reference) {
    const cell = element("dd", { dir: "auto", lang });
    if (reference === undefined) cell.textContent = text;
    else cell.append(...marked(text, reference));
    rows.append(element("dt", { dir: "auto" }, name), cell);
  }

  function entry(row, systems) {
    const item = element("li");
    const rows = element("dl");
    item.append(element("h3", {}, `Sentence ${row + 1}`), rows);
    if (data.source) line(rows, "source", data.source[row], data.source_lang);
    line(rows, "reference", data.reference[row], data.target_lang);
    for (const system of systems) {
      line(rows, system.name, system.translations[row], data.target_lang, data.reference[row]);
    }
    return item;
  }

  function show() {
    const systems = shown();
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map((row) => entry(row, systems)));
    fields.status.value = `${found.length} of ${data.reference.length} sentences, page ${page + 1} of ${pages}`;
    fields.previous.disabled = page === 0;
    fields.next.disabled = page >= pages - 1;
  }

  let waiting = 0;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 150); });
  form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
  for (const [name, step] of [["previous", -1], ["next", 1]]) {
    fields[name].addEventListener("click", () => { page += step; show(); });
  }
  document.getElementById("sentences-file").hidden = false;
  document.getElementById("sentences-download").addEventListener("click", () => {
    download("sentences.json", "application/json", JSON.stringify(data, null, 1));
  });
  document.getElementById("legend").hidden = false;
  form.hidden = false;
  search();
})();
