// The turns of a run: opens a turn beside the list, follows a live run, searches all texts.
"use strict";
(() => {
  const run = document.body.dataset.run, box = document.getElementById("turns"), detail = document.getElementById("main");
  const find = document.getElementById("find"), hits = document.getElementById("hits"), list = document.getElementById("list");
  const follow = document.getElementById("follow"), keys = window.harnessKeys;
  let thinking = false, wanted = 0;
  async function open(turn, remember = true, hash = "") {
    if (!turn) return;
    wanted = turn;
    turnList.select(turn);
    const answer = await fetch(`/run/${run}/turn/${turn}?part=1`);
    if (!answer.ok || wanted !== turn) return;
    detail.innerHTML = await answer.text();
    box.classList.add("has-detail");
    detail.scrollTop = 0;
    document.body.dataset.turn = turn;
    document.title = `turn ${turn} · ${run}`;
    if (remember) history.pushState({ turn }, "", `/run/${run}/turn/${turn}${hash}`);
    unfold(); jump();
  }
  function unfold() { const each = detail.querySelector("details.thinking"); if (each) each.open = thinking; }
  function jump() { if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView(); }
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-act=unfold]")) { event.target.previousElementSibling.classList.add("open"); event.target.remove(); }
    const link = event.target.closest("a"), match = link?.getAttribute("href")?.match(/\/turn\/(\d+)(#.*)?$/);
    if (!match || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    follow.checked = false;
    open(Number(match[1]), true, match[2] || "");
  });
  addEventListener("popstate", () => { const match = location.pathname.match(/\/turn\/(\d+)$/); if (match) open(Number(match[1]), false); else box.classList.remove("has-detail"); });
  const step = (by) => { follow.checked = false; open(turnList.neighbour(by)); };
  Object.assign(keys, {
    j: () => step(1), k: () => step(-1), "/": () => { box.classList.remove("has-detail"); find.focus(); },
    t: () => { thinking = !thinking; unfold(); },
    w: () => { const link = detail.querySelector("[data-key=w]"); if (link) location.assign(link.href); },
    Escape: () => { find.value = ""; showHits(false); },
  });
  // ------------------------------------------------------------------------------------------------ search
  function showHits(on) { hits.classList.toggle("hide", !on); list.classList.toggle("hide", on); }
  let asked = null;
  async function search() {
    const words = find.value.trim();
    asked?.abort();
    if (words.length < 2) { showHits(false); return; }
    asked = new AbortController();
    showHits(true);
    hits.textContent = "searching …";
    try {
      const answer = await fetch(`/run/${run}/search?q=${encodeURIComponent(words)}`, { signal: asked.signal });
      showResults(await answer.json(), words);
    } catch { /* replaced by the next search */ }
  }
  function showResults(found, words) {
    hits.replaceChildren(...found.hits.map((hit) => {
      const link = document.createElement("a"), turn = document.createElement("span"), where = document.createElement("span"), text = document.createElement("span");
      link.href = hit.job ? `/run/${run}/job/${hit.job}?from=${hit.from}` : hit.turn ? `/run/${run}/turn/${hit.turn}#e-${hit.seq}` : `/run/${run}/event/${hit.seq}?field=${hit.field}`;
      turn.textContent = hit.turn ? `turn ${hit.turn}` : hit.job ? "job" : "run"; where.textContent = hit.where; where.className = "soft";
      const [before, match, after] = hit.parts, mark = document.createElement("mark");
      mark.textContent = match; text.append(before, mark, after);
      link.append(turn, where, text);
      return link;
    }));
    document.getElementById("count").textContent = `${found.hits.length}${found.more ? " or more" : ""} hits for “${words}”${found.unread ? `; ${found.unread} outputs of jobs were not searched` : ""}`;
    hits.dataset.done = words;
  }
  let timer = 0;
  find.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 250); });
  find.addEventListener("keydown", (event) => { if (event.key === "Escape") { find.value = ""; showHits(false); find.blur(); } });
  if (new URLSearchParams(location.search).has("find")) find.focus();
  // ------------------------------------------------------------------------------------------------ rows, live
  async function start() {
    const answer = await fetch(`/run/${run}/rows`);
    turnList.add(await answer.json());
    turnList.select(Number(document.body.dataset.turn), true);
    const stream = new EventSource(`/run/${run}/live?rows=${turnList.count}`);
    stream.addEventListener("rows", (event) => {
      if (Number(event.lastEventId) <= turnList.count) return;  // told already, before the connection was lost
      turnList.add(JSON.parse(event.data));
      if (follow.checked) open(turnList.last, false);
    });
    stream.addEventListener("over", () => stream.close());
  }
  follow.addEventListener("change", () => { if (follow.checked) open(turnList.last); });
  start(); jump();
})();
