// The page of a sweep: new figures while its runs are played. The order in which the rows were sorted stays.
"use strict";
(() => {
  const sums = document.getElementById("sums"), body = document.getElementById("rows"), page = `/sweep/${encodeURIComponent(document.body.dataset.sweep)}`;
  async function update() {
    const answer = await fetch(page);
    if (!answer.ok) return;
    const draft = new DOMParser().parseFromString(await answer.text(), "text/html");
    sums.replaceChildren(...draft.getElementById("sums").children);
    const fresh = new Map([...draft.getElementById("rows").rows].map((row) => [row.dataset.run, row]));
    for (const row of [...body.rows]) {
      const other = fresh.get(row.dataset.run);
      if (other && other.innerHTML !== row.innerHTML) row.replaceWith(document.importNode(other, true));
    }
  }
  new EventSource(`${page}/live`).addEventListener("changed", update);
})();
