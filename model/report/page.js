"use strict";
document.documentElement.classList.add("js");

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const percent = (part, whole) => (whole ? ((100 * part) / whole).toFixed(1) + "%" : "");

// Sort a table by the column whose header is clicked; rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const text = head.dataset.sort === "text";
    const sort = () => {
      const up = head.getAttribute("aria-sort") === (text ? "ascending" : "descending") ? !text : text;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.v;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        const order = text ? x.localeCompare(y, "en", { numeric: true }) : x - y;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    };
    const button = make("button", { type: "button", onclick: sort }, ...head.childNodes);
    head.replaceChildren(button);
  });
}

// Add a search field that hides the rows whose class does not contain the text.
for (const tools of document.querySelectorAll("[data-filter]")) {
  const rows = document.getElementById(tools.dataset.filter).tBodies[0].rows;
  if (rows.length < 20) continue;
  const filter = (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  };
  tools.append(make("input", { type: "search", placeholder: "find a class", "aria-label": "find a class", oninput: filter }));
}

function orderSwitch(choose) {
  const buttons = [["similar", "confused classes together"], ["label", "alphabetical"]].map(([name, text]) =>
    make("button", {
      type: "button",
      "aria-pressed": String(name === "similar"),
      onclick: (event) => {
        buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === event.target)));
        choose(name);
      },
    }, text));
  return buttons;
}

// The small confusion matrix is a table; two buttons change the order of its rows and columns.
for (const tools of document.querySelectorAll("[data-reorder]")) {
  const table = document.getElementById(tools.dataset.reorder);
  const similar = [...table.tBodies[0].rows].map((row) => row.dataset.k);
  tools.append(...orderSwitch((name) => {
    const order = name === "similar" ? similar : [...similar].sort((a, b) => a - b);
    for (const row of table.rows) {
      const cells = new Map([...row.cells].map((cell) => [cell.dataset.k, cell]));
      row.append(...order.map((k) => cells.get(k)));
    }
    const rows = new Map([...table.tBodies[0].rows].map((row) => [row.dataset.k, row]));
    table.tBodies[0].append(...order.map((k) => rows.get(k)));
  }));
}

// The large confusion matrix is a canvas that can be zoomed and moved, and shows the numbers of a cell or a class.
function matrix(place, numbers) {
  const { words, rows, similar } = numbers;
  const count = words.length;
  const cells = rows.map((row) => {
    const found = new Map();
    for (let k = 0; k < row.length; k += 2) found.set(row[k], row[k + 1]);
    return found;
  });
  const drawn = cells.map((row) => [...row.values()].reduce((sum, n) => sum + n, 0));
  const columns = words.map(() => []);
  cells.forEach((row, true_) => row.forEach((n, named) => columns[named].push([true_, n])));
  let order = similar;
  let position = [];
  let hover = null;
  let picked = null;
  const view = { scale: 1, x: 0, y: 0, gutter: 90, side: 0 };
  const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": "Confusion matrix; choose a class in the field above to read its numbers" });
  const context = canvas.getContext("2d");
  const cell = make("p", { class: "cell", "aria-live": "polite" }, "Point at a cell to see its numbers; click it to see its class. The keys + and - zoom, and so does the wheel after a click on the matrix; drag to move it.");
  const inspected = make("div", { class: "inspected" });
  const names = make("datalist", { id: "matrix-words" }, ...words.map((word) => make("option", { value: word })));
  const field = make("input", {
    type: "search", list: "matrix-words", placeholder: "show a class", "aria-label": "show a class",
    oninput: () => { const k = words.indexOf(field.value); if (k >= 0) inspect(k, true); },
  });
  const zoomButton = (text, label, factor) => make("button", {
    type: "button", "aria-label": label,
    onclick: () => zoom(factor, view.gutter + view.side / 2, view.gutter + view.side / 2),
  }, text);
  const whole = make("button", { type: "button", onclick: () => { fit(); draw(); } }, "all");
  place.append(
    make("div", { class: "tools" }, ...orderSwitch((name) => { arrange(name === "similar" ? similar : words.map((_, k) => k)); draw(); }),
      zoomButton("+", "zoom in", 1.6), zoomButton("\u2212", "zoom out", 1 / 1.6), whole, field, names),
    canvas, cell, inspected);
  place.hidden = false;

  function arrange(labels) {
    order = labels;
    order.forEach((label, k) => { position[label] = k; });
  }

  const fitting = () => view.side / count;

  function fit() {
    const width = place.clientWidth - 2;
    view.gutter = width < 600 ? 64 : 110;
    view.side = Math.min(width - view.gutter, 900, Math.max(360, window.innerHeight - view.gutter - 80));
    const pixels = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round((view.side + view.gutter) * pixels);
    canvas.style.width = canvas.style.height = view.side + view.gutter + "px";
    Object.assign(view, { scale: fitting(), x: 0, y: 0 });
  }

  function clamp() {
    view.scale = Math.min(Math.max(view.scale, fitting()), 48);
    const most = Math.max(0, count - view.side / view.scale);
    view.x = Math.min(Math.max(view.x, 0), most);
    view.y = Math.min(Math.max(view.y, 0), most);
    canvas.style.touchAction = view.scale > fitting() * 1.01 ? "none" : "pan-y";
  }

  function zoom(factor, px, py) {
    const [x, y] = [view.x + (px - view.gutter) / view.scale, view.y + (py - view.gutter) / view.scale];
    view.scale = Math.min(Math.max(view.scale * factor, fitting()), 48);
    view.x = x - (px - view.gutter) / view.scale;
    view.y = y - (py - view.gutter) / view.scale;
    draw();
  }

  function draw() {
    clamp();
    const { scale, x, y, gutter, side } = view;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const pixels = window.devicePixelRatio || 1;
    context.setTransform(pixels, 0, 0, pixels, 0, 0);
    context.clearRect(0, 0, side + gutter, side + gutter);
    context.save();
    context.beginPath();
    context.rect(gutter, gutter, side, side);
    context.clip();
    context.fillStyle = colour("--card");
    context.fillRect(gutter, gutter, side, side);
    const size = Math.max(scale - (scale > 6 ? 1 : 0), 1);
    const [blue, orange, ink] = [colour("--blue"), colour("--orange"), colour("--fg")];
    const lines = (label, alpha) => {
      context.fillStyle = `rgba(${blue}, ${alpha})`;
      context.fillRect(gutter, gutter + (position[label[0]] - y) * scale, side, Math.max(scale, 1));
      context.fillRect(gutter + (position[label[1]] - x) * scale, gutter, Math.max(scale, 1), side);
    };
    if (picked !== null) lines([picked, picked], 0.18);
    if (hover) lines(hover, 0.22);
    context.font = `${Math.min(12, scale * 0.5)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = Math.floor(y); i < Math.min(count, y + side / scale + 1); i++) {
      const label = order[i];
      cells[label].forEach((n, named) => {
        const [left, top] = [gutter + (position[named] - x) * scale, gutter + (i - y) * scale];
        if (left + scale < gutter || left > gutter + side) return;
        const depth = Math.max(0.2, Math.sqrt(n / drawn[label]));
        context.fillStyle = `rgba(${named === label ? blue : orange}, ${depth})`;
        context.fillRect(left, top, size, size);
        if (scale >= 18) {
          context.fillStyle = depth > 0.6 ? "#fff" : ink;
          context.fillText(n, left + scale / 2, top + scale / 2);
        }
      });
    }
    context.restore();
    context.fillStyle = ink;
    context.font = `${Math.max(9, Math.min(13, scale * 0.8))}px system-ui, sans-serif`;
    const step = Math.ceil(11 / scale);
    const shown = (label) => {
      let text = words[label];
      while (text.length > 3 && context.measureText(text).width > gutter - 6) text = text.slice(0, -2).trimEnd() + "\u2026";
      return text;
    };
    const visible = (k, offset) => gutter + (k - offset + 0.5) * scale;
    for (let k = 0; k < count; k += step) {
      const across = visible(k, x), down = visible(k, y);
      if (down > gutter && down < gutter + side) {
        context.textAlign = "right";
        context.fillText(shown(order[k]), gutter - 4, down);
      }
      if (across > gutter && across < gutter + side) {
        context.save();
        context.translate(across, gutter - 4);
        context.rotate(-Math.PI / 2);
        context.textAlign = "left";
        context.fillText(shown(order[k]), 0, 0);
        context.restore();
      }
    }
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const [j, i] = [Math.floor(view.x + (px - view.gutter) / view.scale), Math.floor(view.y + (py - view.gutter) / view.scale)];
    const inside = px >= view.gutter && py >= view.gutter && i < count && j < count && i >= 0 && j >= 0;
    return { px, py, pair: inside ? [order[i], order[j]] : null };
  }

  function tell(pair) {
    const [label, named] = pair;
    const n = cells[label].get(named) || 0;
    cell.replaceChildren(
      "true class ", make("b", { class: "w" }, words[label]), label === named ? ", predicted correctly" : ", predicted ",
      ...(label === named ? [] : [make("b", { class: "w" }, words[named])]),
      drawn[label] ? `: ${n} of ${drawn[label]} (${percent(n, drawn[label])})` : ": no drawings here");
  }

  function entry(label, named, other, whole_) {
    const n = cells[label].get(named);
    const item = make("li", {}, make("button", { type: "button", onclick: () => inspect(other, true) }, words[other]), ` ${n} (${percent(n, whole_)}) `);
    const examples = document.getElementById(`pair-${Math.min(label, named)}-${Math.max(label, named)}`);
    if (examples) item.append(make("a", { href: "#" + examples.id }, "examples"));
    return item;
  }

  function inspect(label, show) {
    picked = label;
    field.value = words[label];
    const most = (list) => list.sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 12);
    const instead = most([...cells[label]].filter(([named]) => named !== label));
    const taken = most(columns[label].filter(([true_]) => true_ !== label));
    const right = cells[label].get(label) || 0;
    const list = (items, nothing) => (items.length ? make("ul", {}, ...items) : make("p", {}, nothing));
    inspected.replaceChildren(
      make("h3", {}, words[label], drawn[label] ? `: ${right} of ${drawn[label]} predicted correctly (${percent(right, drawn[label])})` : ": no drawings here"),
      make("div", {}, `${words[label]} predicted as:`, list(instead.map(([named]) => entry(label, named, named, drawn[label])), "no other class")),
      make("div", {}, `Predicted as ${words[label]}, true class:`, list(taken.map(([true_]) => entry(true_, label, true_, drawn[true_])), "no other class")));
    if (show) {
      const middle = position[label] + 0.5 - view.side / view.scale / 2;
      Object.assign(view, { x: middle, y: middle });
    }
    draw();
  }

  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (fingers.size === 0) moved = 0;
    fingers.set(event.pointerId, event);
    if (view.scale > fitting() * 1.01) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const { pair } = at(event);
    const before = fingers.get(event.pointerId);
    if (before) {
      const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
      moved += Math.abs(dx) + Math.abs(dy);
      const other = [...fingers].find(([id]) => id !== event.pointerId);
      fingers.set(event.pointerId, event);
      if (other) {
        const apart = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
        const middle = at({ clientX: (event.clientX + other[1].clientX) / 2, clientY: (event.clientY + other[1].clientY) / 2 });
        return zoom(apart(event, other[1]) / Math.max(apart(before, other[1]), 1), middle.px, middle.py);
      }
      view.x -= dx / view.scale;
      view.y -= dy / view.scale;
    }
    hover = pair;
    if (pair) tell(pair);
    draw();
  });
  const lift = (event) => fingers.delete(event.pointerId);
  canvas.addEventListener("pointerup", (event) => {
    lift(event);
    const { pair } = at(event);
    if (moved < 6 && pair) {
      tell(pair);
      inspect(pair[0], false);
    }
  });
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", (event) => { lift(event); hover = null; draw(); });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    const { px, py } = at(event);
    zoom(Math.exp(-event.deltaY / 300), px, py);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = view.side / view.scale / 8;
    const middle = view.gutter + view.side / 2;
    const keys = {
      ArrowLeft: () => { view.x -= step; }, ArrowRight: () => { view.x += step; },
      ArrowUp: () => { view.y -= step; }, ArrowDown: () => { view.y += step; },
      "+": () => zoom(1.6, middle, middle), "-": () => zoom(1 / 1.6, middle, middle), 0: fit,
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
    draw();
  });
  let width = place.clientWidth;
  window.addEventListener("resize", () => {
    if (place.clientWidth === width) return; // only the height changed: a phone hides and shows its address bar
    width = place.clientWidth;
    fit();
    draw();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  arrange(similar);
  fit();
  draw();
}

const numbers = document.getElementById("confusion-data");
if (numbers) matrix(document.getElementById("matrix"), JSON.parse(numbers.textContent));
