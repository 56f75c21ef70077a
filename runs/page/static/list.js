// The list of turns: draws only the rows in sight, from rows that are all in memory, so scrolling shows no holes.
"use strict";
(() => {
  const HEIGHT = 26, EXTRA = 40;
  const [SEQ, TURN, ATTEMPT, , HOURS, TONE, TEXT, SECONDS] = [0, 1, 2, 3, 4, 5, 6, 7];
  const run = document.body.dataset.run, list = document.getElementById("list"), space = list.querySelector(".space");
  const count = document.getElementById("count");
  let all = [], rows = [], only = "", current = Number(document.body.dataset.turn), from = -1, to = -1;
  const two = (count) => String(Math.floor(count) % 60).padStart(2, "0");
  const clock = (hours) => `${Math.floor(hours)}:${two(hours * 60)}:${two(hours * 3600)}`;
  function span(text, name) { const part = document.createElement("span"); part.textContent = text; if (name) part.className = name; return part; }
  function rowOf(place) {
    const row = rows[place], link = document.createElement("a");
    const near = row[TURN] || nearestTurn(place);
    link.href = near ? `/run/${run}/turn/${near}${row[TURN] ? "" : `#e-${row[SEQ]}`}` : `/run/${run}`;
    link.className = `t-${row[TONE]}`;
    link.style.transform = `translateY(${place * HEIGHT}px)`;
    if (row[TURN] && row[TURN] === current) link.setAttribute("aria-current", "true");
    link.append(span(clock(row[HOURS]), "soft"), span(row[TURN] || ""), span(row[TEXT]), span(row[SECONDS] ? `${Math.round(row[SECONDS])} s` : "", "soft"));
    link.title = `${row[TEXT]} (attempt ${row[ATTEMPT]})`;
    return link;
  }
  function nearestTurn(place) {
    for (let at = place; at >= 0; at--) if (rows[at][TURN] && rows[at][ATTEMPT] === rows[place][ATTEMPT]) return rows[at][TURN];
    return rows.slice(place).find((row) => row[TURN])?.[TURN] || 0;
  }
  function paint(force) {
    const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - EXTRA);
    const last = Math.min(rows.length, Math.ceil((list.scrollTop + list.clientHeight) / HEIGHT) + EXTRA);
    if (!force && first >= from && last <= to && from >= 0 && first - from < EXTRA && to - last < EXTRA) return;
    from = first; to = last;
    const drawn = document.createDocumentFragment();
    for (let place = first; place < last; place++) drawn.append(rowOf(place));
    space.replaceChildren(drawn);
  }
  function filter() {
    rows = only ? all.filter((row) => String(row[ATTEMPT]) === only) : all;
    space.style.height = `${rows.length * HEIGHT}px`;
    const turns = rows.reduce((sum, row) => sum + (row[TURN] > 0), 0);
    count.textContent = `${turns.toLocaleString("en")} turns${only ? ` of attempt ${only}` : ""}`;
    document.body.dataset.rows = rows.length;
    paint(true);
  }
  function select(turn, center) {
    current = turn;
    const place = rows.findIndex((row) => row[TURN] === turn);
    if (place >= 0) {
      const y = place * HEIGHT;
      if (center) list.scrollTop = y - list.clientHeight / 2;
      else if (y < list.scrollTop + HEIGHT) list.scrollTop = y - HEIGHT;
      else if (y > list.scrollTop + list.clientHeight - 2 * HEIGHT) list.scrollTop = y - list.clientHeight + 2 * HEIGHT;
    }
    paint(true);
  }
  function neighbour(step) {
    const turns = rows.filter((row) => row[TURN]).map((row) => row[TURN]);
    const place = turns.indexOf(current);
    return place < 0 ? (step > 0 ? turns[0] : turns.at(-1)) : turns[place + step];
  }
  list.addEventListener("scroll", () => paint(false), { passive: true });
  addEventListener("resize", () => paint(true));
  document.getElementById("only").addEventListener("change", (event) => { only = event.target.value; filter(); list.scrollTop = 0; paint(true); });
  window.turnList = {
    select, neighbour,
    add(more) { all = all.concat(more); filter(); },
    get last() { return all.findLast((row) => row[TURN])?.[TURN] || 0; },
    get count() { return all.length; },
  };
})();
