"use strict";
// Draws what needs space: strange text goes in by textContent only, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { span, strings, packages, processes, verdicts, network } = data;
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const CLASSES = { "NOT STOPPED": "bad", observed: "bad", alerted: "fair", allowed: "fair", killed: "good", denied: "good", refused: "good", sent: "plain" };
  const classOf = (outcome) => CLASSES[strings[outcome]] || "fair";
  const seconds = (us) => us < 1e6 ? `${Math.round(us / 1e3)} ms` : us < 6e7 ? `${(us / 1e6).toFixed(1)} s`
    : `${Math.floor(us / 6e7)} min ${Math.round(us / 1e6) % 60} s`;
  const bytes = (count) => count < 1e3 ? `${count} B` : count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
  const findingId = (index) => `F${index + 1}`;
  const packageName = (index) => index < 0 ? "" : strings[packages[index]];

  // Packages: sort by any column, filter by text or by findings.
  const table = document.getElementById("package-table");
  if (table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const tools = document.getElementById("package-tools");
    const search = make("input");
    search.type = "search";
    search.placeholder = "Filter packages";
    search.setAttribute("aria-label", "Filter packages");
    const only = make("input");
    only.type = "checkbox";
    const label = make("label");
    label.append(only, "with findings only");
    const count = make("span");
    count.setAttribute("role", "status");
    const apply = () => {
      const wanted = search.value.trim().toLowerCase();
      let shown = 0;
      rows.forEach((row, index) => {
        const hit = texts[index].includes(wanted) && !(only.checked && row.lastElementChild.dataset.value === "0");
        row.hidden = !hit;
        shown += hit;
      });
      count.textContent = shown === rows.length ? `${shown} packages` : `${shown} of ${rows.length} packages`;
    };
    search.addEventListener("input", apply);
    only.addEventListener("change", apply);
    tools.append(search, label, count);
    apply();
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const numeric = cell.dataset.sort === "number";
      const button = make("button", "", cell.textContent);
      button.type = "button";
      cell.replaceChildren(button);
      const value = (row) => numeric ? Number(row.cells[column].dataset.value ?? row.cells[column].textContent)
        : row.cells[column].textContent;
      button.addEventListener("click", () => {
        const ascending = cell.getAttribute("aria-sort") ? cell.getAttribute("aria-sort") !== "ascending" : !numeric;
        [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
        cell.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        const compare = numeric ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
        const sorted = rows.map((row) => [value(row), row]);
        sorted.sort((a, b) => (ascending ? 1 : -1) * compare(a[0], b[0]));
        body.append(...sorted.map(([, row]) => row));
      });
    });
  }

  // Timeline: a lane for each package, the stretches in which it ran, and where it met a verdict.
  const FIRST_LANES = 25;
  const chart = document.getElementById("timeline-chart");
  const lanes = new Map();
  const lane = (index) => {
    if (!lanes.has(index)) lanes.set(index, { index, stretches: [], met: [], length: 0 });
    return lanes.get(index);
  };
  for (const [begun, ended, , owner, , , images] of processes) {
    if (images.length) lane(owner).stretches.push([begun, ended < 0 ? span : ended]);
  }
  for (const verdict of verdicts) lane(verdict[5]).met.push(verdict);
  for (const one of lanes.values()) {
    one.stretches.sort((a, b) => a[0] - b[0]);
    const joined = [];
    for (const [begin, end] of one.stretches) {
      const last = joined[joined.length - 1];
      if (last && begin <= last[1] + span / 500) last[1] = Math.max(last[1], end);
      else joined.push([begin, end]);
    }
    one.stretches = joined;
    one.length = joined.reduce((sum, [begin, end]) => sum + end - begin, 0);
  }
  const ordered = [...lanes.values()].sort((a, b) =>
    (a.index >= 0) - (b.index >= 0) || (b.met.length > 0) - (a.met.length > 0) || b.length - a.length || a.index - b.index);
  // Where the manager works for long before the first script, the axis begins shortly before that script.
  const begins = ordered.filter((one) => one.index >= 0).flatMap((one) => [...one.stretches, ...one.met].map(([time]) => time));
  const early = begins.reduce((least, time) => Math.min(least, time), span);
  const from = begins.length && early > span / 4 ? Math.max(0, early - (span - early) / 20) : 0;
  const shown = Math.max(span - from, 1);
  const place = (us) => Math.min(100, Math.max(0, (us - from) / shown * 100));
  const percent = (us) => `${place(us).toFixed(3)}%`;
  const drawLane = (one) => {
    const row = make("div", "lane");
    const name = make("span", "lane-name", one.index < 0 ? "the command and its managers" : packageName(one.index));
    name.title = name.textContent;
    const track = make("div", "track");
    for (const [begin, end] of one.stretches) {
      const bar = make("span", "bar");
      bar.style.left = percent(begin);
      bar.style.width = `${(place(end) - place(begin)).toFixed(3)}%`;
      bar.title = `${seconds(begin)} to ${seconds(end)}`;
      track.append(bar);
    }
    const seen = new Set();
    for (const [time, , finding, outcome, what] of one.met) {
      // Marks that would lie on each other are one.
      const spot = `${finding} ${outcome} ${Math.round(place(time) * 4)}`;
      if (seen.has(spot)) continue;
      seen.add(spot);
      const mark = make(finding < 0 ? "span" : "a", `met ${classOf(outcome)}`);
      if (finding >= 0) mark.href = `#${findingId(finding)}`;
      mark.style.left = percent(time);
      mark.title = `${strings[outcome]}: ${strings[what]} after ${seconds(time)}`;
      mark.setAttribute("aria-label", mark.title);
      track.append(mark);
    }
    row.append(name, track);
    return row;
  };
  if (ordered.length) {
    const axis = make("div", "axis");
    const ticks = make("div", "ticks");
    const many = chart.clientWidth < 560 ? 2 : 4;
    for (let tick = 0; tick <= many; tick++) {
      const mark = make("span", "", seconds(from + shown * tick / many));
      mark.style.left = `${tick * 100 / many}%`;
      ticks.append(mark);
    }
    axis.append(make("span"), ticks);
    chart.append(axis, ...ordered.slice(0, FIRST_LANES).map(drawLane));
    if (ordered.length > FIRST_LANES) {
      const more = make("button", "", `Show all ${ordered.length} lanes`);
      more.addEventListener("click", () => more.replaceWith(...ordered.slice(FIRST_LANES).map(drawLane)));
      chart.append(more);
    }
    const legend = make("div", "legend");
    for (const [name, text] of [["good", "stopped"], ["fair", "alert, went on"], ["bad", "not stopped"]]) {
      const item = make("span");
      item.append(make("span", `met ${name}`), text);
      legend.append(item);
    }
    chart.append(legend);
  } else {
    chart.append(make("p", "empty", "Nothing was recorded."));
  }

  // Network: who on the left, where to on the right; the table says the same in words.
  const area = document.getElementById("network-map");
  const who = ([actor, owner]) => owner < 0 ? strings[actor] : packageName(owner);
  if (network.length) {
    const MOST = 40;
    const left = [...new Set(network.map(who))].slice(0, MOST);
    const right = [...new Set(network.map((row) => strings[row[2]]))].slice(0, MOST);
    const step = 30, height = Math.max(left.length, right.length) * step + 10, width = 900;
    const space = "http://www.w3.org/2000/svg";
    const draw = (tag, attributes, text) => {
      const element = document.createElementNS(space, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      if (text !== undefined) element.textContent = text;
      return element;
    };
    const short = (text) => text.length > 38 ? `${text.slice(0, 18)}\u2026${text.slice(-18)}` : text;
    const y = (list, index) => (index + .5) * height / list.length;
    const map = draw("svg", { viewBox: `0 0 ${width} ${height}`, class: "map", role: "img", "aria-label": "Who connected where; the table below says the same" });
    for (const row of network) {
      const from = left.indexOf(who(row)), to = right.indexOf(strings[row[2]]);
      if (from < 0 || to < 0) continue;
      const [a, b] = [y(left, from), y(right, to)];
      const path = draw("path", { d: `M320 ${a}C450 ${a} 450 ${b} 580 ${b}`, class: classOf(row[3]), "stroke-width": Math.min(6, 1.5 + Math.log2(Math.max(row[5], 1))) });
      if (classOf(row[3]) !== "fair") path.setAttribute("stroke-dasharray", classOf(row[3]) === "good" ? "5 5" : "none");
      path.append(draw("title", {}, `${who(row)}: ${strings[row[2]]}, ${strings[row[3]]}${row[5] ? `, ${row[5]} times` : `, ${bytes(row[6])}`}`));
      map.append(path);
    }
    left.forEach((name, index) => map.append(draw("circle", { cx: 320, cy: y(left, index), r: 4 }), draw("text", { x: 308, y: y(left, index) + 4, "text-anchor": "end" }, short(name))));
    right.forEach((name, index) => map.append(draw("circle", { cx: 580, cy: y(right, index), r: 4 }), draw("text", { x: 592, y: y(right, index) + 4 }, short(name))));
    const scroll = make("div", "scroll");
    const list = make("table", "net-table");
    const head = list.createTHead().insertRow();
    const columns = ["Who", "Where to", "Outcome", "Rule", "Times", "Sent"];
    for (const name of columns) {
      const cell = make("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = list.createTBody();
    for (const row of network) {
      const line = body.insertRow();
      const where = make("code", "", strings[row[2]]);
      line.insertCell().append(make("bdi", "", who(row)));
      line.insertCell().append(where);
      line.insertCell().append(make("span", classOf(row[3]), strings[row[3]]));
      line.insertCell().append(...(row[4] < 0 ? [] : [make("code", "", strings[row[4]])]));
      line.insertCell().append(...(row[5] ? [String(row[5])] : []));
      line.insertCell().append(...(row[4] < 0 ? [bytes(row[6])] : []));
      columns.forEach((name, at) => { line.cells[at].dataset.label = name; });
    }
    scroll.append(list);
    area.append(map, scroll);
  } else {
    area.append(make("p", "empty", "There were none."));
  }

  // Processes: drawn when they are opened.
  const children = processes.map(() => []);
  const roots = [];
  processes.forEach((process, index) => (process[2] < 0 ? roots : children[process[2]]).push(index));
  const met = processes.map(() => []);
  const open = new Set();
  for (const verdict of verdicts) {
    met[verdict[1]].push(verdict);
    if (open.size > 400) continue;
    for (let at = verdict[1]; at >= 0 && !open.has(at); at = processes[at][2]) open.add(at);
  }
  const BATCH = 200;
  const line = (index) => {
    const [, , , owner, pid, exit, images] = processes[index];
    const text = make("span", "line");
    text.append(make("span", "pid", `${pid} `));
    images.forEach(([actor, command, directory], at) => {
      if (at) text.append(make("span", "then", " \u2192 "));
      const name = make("bdi", "", strings[command]);
      name.title = `${strings[actor]}${directory < 0 ? "" : ` in ${strings[directory]}`}`;
      text.append(name);
    });
    if (!images.length) text.append(make("span", "then", "(a fork)"));
    const parent = processes[index][2];
    if (owner >= 0 && (parent < 0 || processes[parent][3] !== owner)) text.append(" ", make("bdi", "of", packageName(owner)));
    if (exit >= 0) text.append(make("span", "end", ` ${strings[exit]}`));
    return text;
  };
  const hits = (index) => {
    const seen = new Map();
    for (const verdict of met[index]) {
      const key = `${verdict[2]} ${verdict[3]} ${verdict[4]}`;
      seen.set(key, [verdict, (seen.get(key)?.[1] ?? 0) + 1]);
    }
    return [...seen.values()].slice(0, 10).map(([[, , finding, outcome, what], times]) => {
      const item = make("span", `hit ${classOf(outcome)}`, `${strings[outcome]}: ${strings[what]}${times > 1 ? `, ${times} times` : ""} `);
      if (finding >= 0) {
        const link = make("a", "", findingId(finding));
        link.href = `#${findingId(finding)}`;
        item.append(link);
      }
      return item;
    });
  };
  const fill = (into, list, depth, from = 0) => {
    into.append(...list.slice(from, from + BATCH).map((index) => node(index, depth)));
    if (list.length > from + BATCH) {
      const more = make("button", "", `Show ${list.length - from - BATCH} more`);
      more.addEventListener("click", () => { more.remove(); fill(into, list, depth, from + BATCH); });
      into.append(more);
    }
  };
  // Those that lead to a finding come first where there are many.
  const inOrder = (list) => list.length > BATCH ? [...list].sort((a, b) => open.has(b) - open.has(a) || a - b) : list;
  const node = (index, depth) => {
    if (!children[index].length) {
      const leaf = make("div", "leaf");
      leaf.append(line(index), ...hits(index));
      return leaf;
    }
    const details = make("details");
    const summary = make("summary");
    summary.append(line(index), make("span", "pid", ` (${children[index].length})`));
    const kids = make("div", "kids");
    details.append(summary, ...hits(index), kids);
    const draw = () => { if (!kids.childElementCount) fill(kids, inOrder(children[index]), depth + 1); };
    details.addEventListener("toggle", () => { if (details.open) draw(); });
    // A small tree is shown whole; a chain of thousands is opened by hand.
    const shallow = depth === 0 || (depth < 3 && processes.length < 100);
    if ((open.has(index) || shallow) && depth < 100) { draw(); details.open = true; }
    return details;
  };
  const tree = document.getElementById("process-tree");
  if (roots.length) {
    tree.className = "tree";
    fill(tree, roots, 0);
  } else {
    tree.append(make("p", "empty", "Nothing was recorded."));
  }
})();
