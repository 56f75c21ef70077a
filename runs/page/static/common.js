// Theme, help and the keys that work on every page.
"use strict";
(() => {
  const run = document.body.dataset.run;
  const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  function toggleTheme() {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("theme", theme); } catch { /* not remembered */ }
    document.dispatchEvent(new Event("themechange"));
  }
  const help = () => document.getElementById("help")?.showModal();
  document.addEventListener("click", (event) => {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act === "theme") toggleTheme();
    if (act === "help") help();
  });
  const handlers = { "?": help, r: () => document.body.dataset.page !== "file" && location.assign("/"), o: () => run && location.assign(`/run/${run}`), "/": () => {
    const field = document.querySelector("input[type=search]");
    if (field) field.focus(); else if (run) location.assign(`/run/${run}/turns?find=1`);
  } };
  window.harnessKeys = handlers;
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input:not([type=range]), textarea, select, dialog[open]")) return;
    const handler = handlers[event.key];
    if (handler) { event.preventDefault(); handler(); }
  });
  // Changes are sent by fetch: without a referrer a browser hides the origin of a form that it sends itself.
  document.addEventListener("submit", async (event) => {
    const form = event.target, to = form.getAttribute("action");
    if (form.getAttribute("method") !== "post") return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form, event.submitter));
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    const answer = await fetch(to, { method: "POST", body });
    if (answer.redirected) location.assign(answer.url);
    else document.body.prepend(Object.assign(document.createElement("p"), { className: "banner", role: "alert", textContent: `Not done: ${answer.status} ${answer.statusText}. Open this page again.` }));
  });
  // Tables whose headings are buttons can be sorted.
  document.addEventListener("click", (event) => {
    const heading = event.target.closest("th[aria-sort]");
    if (!heading) return;
    const table = heading.closest("table"), place = [...heading.parentNode.children].indexOf(heading);
    const down = heading.getAttribute("aria-sort") === "descending";
    for (const each of heading.parentNode.children) if (each.hasAttribute("aria-sort")) each.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", down ? "ascending" : "descending");
    const value = (row) => row.children[place].dataset.value ?? row.children[place].textContent.trim();
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)], [m, n] = [Number(x), Number(y)];
      return x !== "" && y !== "" && !isNaN(m) && !isNaN(n) ? m - n : x.localeCompare(y);
    });
    table.tBodies[0].append(...(down ? rows : rows.reverse()));
  });
})();
