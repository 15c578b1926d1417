"use strict";

/** An element with attributes and text; text is never read as HTML. */
function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

(function theme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
  try { root.dataset.theme = localStorage.getItem("lskd-theme") || ""; } catch { /* a file may have no storage */ }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("lskd-theme", root.dataset.theme); } catch { /* for this visit only */ }
    label();
  });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
})();

(function figures() {
  for (const button of document.querySelectorAll("[data-svg]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const copy = document.getElementById(button.dataset.svg).querySelector("svg").cloneNode(true);
      copy.style.color = "#000000";
      for (const [name, value] of [["paper", "#ffffff"], ["line", "#dddddd"], ["muted", "#666666"], ["blue", "#0072b2"]]) {
        copy.style.setProperty(`--${name}`, value);
      }
      download(`${button.dataset.svg}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(copy));
    });
  }
})();

(function facts() {
  // a link to something behind a click opens it; on paper everything is open
  function open() {
    const name = decodeURIComponent(location.hash.slice(1));
    const target = name && document.getElementById(name);
    const closed = target && target.closest("details");
    for (let each = closed; each; each = each.parentElement.closest("details")) each.open = true;
    if (closed) { closed.querySelector("summary").focus(); closed.scrollIntoView(); }
  }
  addEventListener("hashchange", open);
  // a second click on the same link changes no hash
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (link && link.getAttribute("href") === location.hash) open();
  });
  open();
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
})();
