// The run page: keeps its sections up to date while the run is played.
"use strict";
(() => {
  const run = document.body.dataset.run, box = document.getElementById("sections");
  const shown = new Map(), FOCUS = "a, button, input, textarea, select, summary, [tabindex]";
  const remember = (parts) => { for (const part of parts) if (part.id) shown.set(part.id, part.innerHTML); };
  remember(box.children);  // before charts are drawn into them
  let busy = false, again = false;
  async function update() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(`/run/${run}/sections`);
      if (answer.ok) replace(await answer.text());
    } catch { /* the server is gone; the stream reports it */ }
    busy = false;
    if (again) { again = false; setTimeout(update, 1500); }
  }
  // Only sections that changed are replaced, so that scroll positions and open folds stay.
  function replace(html) {
    const draft = new DOMParser().parseFromString(html, "text/html");
    if (draft.getElementById("reading")) { setTimeout(update, 300); return; }
    const open = [...box.querySelectorAll("details[open]")].map((each) => each.id);
    document.getElementById("reading")?.remove();
    const parts = [...draft.body.children];
    if (box.querySelector("#s-head") === null) { remember(parts); box.replaceChildren(...parts.map((part) => document.importNode(part, true))); }
    else for (const part of parts) {
      const old = part.id && document.getElementById(part.id);
      if (!old || shown.get(part.id) === part.innerHTML) continue;
      shown.set(part.id, part.innerHTML);
      const charts = [...old.querySelectorAll(".chart")], scrolls = [...old.querySelectorAll(".scroll")].map((each) => each.scrollTop);
      const fresh = document.importNode(part, true), held = [...old.querySelectorAll(FOCUS)].indexOf(document.activeElement);
      for (const field of old.querySelectorAll("form [name]:not([type=hidden], button)")) {
        const same = fresh.querySelector(`[name=${field.name}]`);
        if (same) same.value = field.value;  // what a person has typed stays
      }
      for (const chart of charts) fresh.querySelector(`#${chart.id}`)?.replaceWith(chart);
      old.replaceWith(fresh);
      [...fresh.querySelectorAll(".scroll")].forEach((each, place) => { each.scrollTop = scrolls[place] || 0; });
      if (held >= 0) fresh.querySelectorAll(FOCUS)[held]?.focus({ preventScroll: true });
    }
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    window.drawCharts?.();
    document.body.dataset.updates = Number(document.body.dataset.updates || 0) + 1;
  }
  const stream = new EventSource(`/run/${run}/live`);
  stream.addEventListener("changed", update);
  stream.addEventListener("over", () => stream.close());
  if (document.getElementById("reading")) update();
})();
