// The flex queue: a job is moved by dragging, by keys or by typing a place. A move names the neighbour.
"use strict";

(() => {
  const box = document.getElementById("queue");
  const list = () => document.getElementById("q");
  const rows = () => [...list().children];
  const held = document.getElementById("held");
  const UNDO_FOR = 10_000; // ms
  let moving = null; // {row, order}: what is moved by keys, and the order before

  function hold(still) {
    held.hidden = !still;
    window.consoleBusy(still);
  }
  // Why the last move was not made: it stays until the next one begins.
  const refusal = document.getElementById("refusal");
  function refuse(text) {
    refusal.querySelector("p").textContent = text;
    refusal.hidden = !text;
  }
  function say(text) {
    document.getElementById("live-region").textContent = text;
  }
  // Where a row is in a list: before which job, or at the end.
  function where(row, order) {
    const at = order.indexOf(row);
    if (at === 0) return { place: "front", other: "" };
    return at === order.length - 1 ? { place: "end", other: "" } : { place: "after", other: order[at - 1].dataset.job };
  }
  function restore(order) {
    keepFocus(() => { for (const row of order) if (row.isConnected) list().append(row); });
  }
  // A row that is moved in the page, or that an answer replaces, loses the focus: give it back to the same control.
  const CONTROLS = [".hnd", "input", "[data-next]"];
  async function keepFocus(change) {
    const id = document.activeElement?.closest("li[data-job]")?.id;
    const control = CONTROLS.find((each) => document.activeElement?.matches(each));
    const later = change();
    if (later) await later;
    if (id && control) document.getElementById(id)?.querySelector(control)?.focus();
  }

  // Tell the server where a row is now. Afterwards the move can be undone for some seconds.
  async function send(row, order) {
    const back = { job: row.dataset.job, ...where(row, order) };
    if (await move({ job: row.dataset.job, ...where(row, rows()) }, row, order)) offer(row.dataset.name, back);
  }
  async function move(what, row, order) {
    hold(true);
    refuse("");
    const { status, text } = await ask(what);
    if (status === 200 || status === 409) {
      await keepFocus(() => htmx.swap({ text, target: box, swap: "innerMorph", sourceElement: box }));
      refuse(box.querySelector("[data-refusal]").dataset.refusal);
      const now = document.getElementById(row.id);
      if (status === 200 && now) say(`${now.dataset.name} is at place ${rows().indexOf(now) + 1} of ${rows().length}`);
    } else {
      restore(order);
      refuse(text);
    }
    for (const each of box.querySelectorAll("li input")) each.value = each.defaultValue; // also one that was typed into
    hold(false);
    drag();
    return status === 200;
  }
  async function ask(what) {
    try {
      const answer = await fetch(box.dataset.move, {
        method: "POST", body: new URLSearchParams(what), headers: { "X-CSRF-Token": box.dataset.csrf },
      });
      const [{ status, headers }, text] = [answer, await answer.text()];
      if (status === 200 || status === 409) return { status, text };
      const ours = headers.get("content-type")?.startsWith("text/plain"); // else a proxy has answered
      return { status, text: `Not moved. ${ours ? text : `The answer was ${status}.`}` };
    } catch {
      return { status: 0, text: "No answer came, so the job may not have moved. The list will show it." };
    }
  }

  // -- undo: a button, or the key u
  const undo = document.getElementById("undo");
  let last = null; // the move that undoes the last one
  let timer = 0;
  function offer(name, back) {
    last = back;
    undo.querySelector("b").textContent = name;
    undo.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(forget, UNDO_FOR);
  }
  function forget() {
    if (undo.matches(":hover, :focus-within")) {
      timer = setTimeout(forget, UNDO_FOR);
      return;
    }
    undo.hidden = true;
    last = null;
  }
  async function takeBack() {
    const [what, row] = [last, last && document.getElementById(`q-${last.job}`)];
    if (!what || moving) return;
    last = null;
    row?.querySelector(".hnd")?.focus();
    undo.hidden = true;
    await move(what, row ?? box, list() ? rows() : []);
  }
  undo?.querySelector("button").addEventListener("click", takeBack);
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input,dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "u") takeBack();
  });

  // -- dragging
  let sortable = null;
  let before = []; // the order before
  function drag() {
    if (sortable?.el === list()) return;
    sortable?.destroy();
    sortable = null;
    if (!list()?.querySelector(".hnd")) return;
    sortable = Sortable.create(list(), {
      handle: ".hnd", animation: 0, forceFallback: true, fallbackTolerance: 3,
      onStart: () => { before = rows(); hold(true); },
      onEnd: (event) => (event.oldIndex === event.newIndex ? hold(false) : send(event.item, before)),
    });
  }
  drag();
  document.addEventListener("htmx:after:swap", drag);

  // -- keys
  box.addEventListener("keydown", (event) => {
    const row = event.target.closest("li[data-job]");
    if (!row) return;
    if (event.target.matches(".hnd")) onHandle(event, row);
    else if (event.target.matches("input") && event.key === "Enter") typed(event.target, row);
  });
  function onHandle(event, row) {
    if (event.key === " ") {
      event.preventDefault();
      if (moving) drop();
      else {
        moving = { row, order: rows() };
        row.classList.add("held");
        refuse("");
        hold(true);
        say(`${row.dataset.name} picked up, place ${rows().indexOf(row) + 1} of ${rows().length}`);
      }
      return;
    }
    if (!moving) return;
    const step = {
      ArrowUp: () => row.previousElementSibling?.before(row),
      ArrowDown: () => row.nextElementSibling?.after(row),
      Home: () => list().prepend(row),
      End: () => list().append(row),
    }[event.key];
    if (step) {
      event.preventDefault();
      step();
      row.querySelector(".hnd").focus();
      say(`place ${rows().indexOf(row) + 1} of ${rows().length}`);
    } else if (event.key === "Escape") cancel();
  }
  function drop() {
    const { row, order } = moving;
    moving = null;
    row.classList.remove("held");
    if (order.every((each, index) => each === rows()[index])) hold(false);
    else send(row, order);
  }
  function cancel() {
    const { row, order } = moving;
    moving = null;
    row.classList.remove("held");
    restore(order);
    row.querySelector(".hnd").focus();
    hold(false);
    say("Left as it was");
  }
  box.addEventListener("focusout", (event) => {
    if (moving && event.target.matches(".hnd") && event.relatedTarget && !moving.row.contains(event.relatedTarget)) cancel();
  });

  // -- a typed place
  function put(row, place) {
    const order = rows();
    const others = rows().filter((each) => each !== row);
    const at = Math.max(0, Math.min(others.length, place - 1));
    if (rows().indexOf(row) === at) return;
    keepFocus(() => (at === others.length ? list().append(row) : others[at].before(row)));
    send(row, order);
  }
  function typed(input, row) {
    const place = Number.parseInt(input.value, 10);
    input.value = input.defaultValue;
    if (!Number.isNaN(place)) put(row, place);
  }
  for (const begins of ["focusin", "input"]) {
    box.addEventListener(begins, (event) => event.target.matches("input") && hold(true));
  }
  box.addEventListener("focusout", (event) => {
    if (!event.target.matches("input") || event.target === document.activeElement) return; // another window has the keys
    event.target.value = event.target.defaultValue;
    hold(false);
  });
  box.addEventListener("click", (event) => {
    if (event.target.closest("[data-next]")) put(event.target.closest("li"), 1);
  });
})();
