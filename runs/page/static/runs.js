// The list of runs: filter, choose two, and new figures while runs are played.
"use strict";
(() => {
  const body = document.getElementById("rows"), filter = document.getElementById("filter"), shown = document.getElementById("shown");
  function apply() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase(), fits = words.every((word) => text.includes(word));
      row.classList.toggle("hide", !fits);
      count += fits;
    }
    shown.textContent = `${count} runs`;
  }
  filter.addEventListener("input", apply);
  document.getElementById("compare").addEventListener("submit", (event) => {
    if (body.querySelectorAll("input:checked").length !== 2) { event.preventDefault(); shown.textContent = "Choose two runs to compare."; }
  });
  async function update() {
    const answer = await fetch("/runs/rows");
    if (!answer.ok) return;
    const draft = new DOMParser().parseFromString(`<table><tbody>${await answer.text()}</tbody></table>`, "text/html");
    for (const fresh of draft.querySelectorAll("tr")) {
      const old = [...body.rows].find((row) => row.dataset.run === fresh.dataset.run);
      const row = document.importNode(fresh, true);
      if (!old) body.prepend(row);
      else { row.querySelector("input").checked = old.querySelector("input").checked; old.replaceWith(row); }
    }
    apply();
  }
  new EventSource("/live").addEventListener("changed", update);
})();
